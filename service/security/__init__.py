"""Who is calling, and what they may do."""

from service.security.api_keys import KeyRing, new_key, read_keys
from service.security.callers import ANYONE, Caller, Scope
from service.security.guard import Guard, build_guard

__all__ = ["ANYONE", "Caller", "Guard", "KeyRing", "Scope", "build_guard", "new_key", "read_keys"]
