"""A caller as the rest of the service knows them: an id that is the same each time, and scopes."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from service.errors import ForbiddenError

Scope = Literal["read", "metrics", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "metrics", "admin")
ANYONE = "anyone"


@dataclass(frozen=True)
class Caller:
    """Somebody who was let in.

    Attributes:
        name: id for limits, log and audit: that of an API key, or the hash of a token's or certificate's subject.
        scopes: what they may do.
    """

    name: str
    scopes: frozenset[Scope]

    def require(self, scope: Scope) -> None:
        """Raise ForbiddenError unless they may do what takes this scope."""
        if scope not in self.scopes:
            raise ForbiddenError(f"this caller lacks the scope {scope}")


def hashed_name(kind: str, *parts: str) -> str:
    """An id that tells subjects apart without naming them: `kind-` and half a SHA-256 of the parts, a line each."""
    said = chr(10).join(parts).encode(errors="surrogatepass")  # JSON may hold halves of characters, and so may a token
    return f"{kind}-{sha256(said).hexdigest()[:32]}"
