"""Who is calling: API keys, hashed at rest, each with scopes and an end."""

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from service.errors import ForbiddenError, SettingsError, UnauthenticatedError

Scope = Literal["read", "metrics", "admin"]
ANYONE = "anyone"


class ApiKey(BaseModel):
    """One line of the file of keys. Keys are drawn at random with 256 bits, so one round of SHA-256 suffices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: frozenset[Scope] = frozenset({"read"})
    expires: AwareDatetime | None = None


@dataclass(frozen=True)
class Caller:
    """Somebody whose key was known."""

    name: str
    scopes: frozenset[Scope]


class Guard:
    """Lets callers in by their keys; without keys everybody may do everything, which settings allow on loopback alone.

    Args:
        keys: those that are known; None where authentication is off.
    """

    def __init__(self, keys: tuple[ApiKey, ...] | None) -> None:
        self._keys = keys

    def require(self, headers: Mapping[str, str], scope: Scope) -> Caller:
        """The caller, from `Authorization: Bearer KEY` or `X-API-Key: KEY`.

        Raises:
            UnauthenticatedError: no key, an unknown one, or one that has expired.
            ForbiddenError: the key lacks the scope.
        """
        if self._keys is None:
            return Caller(ANYONE, frozenset({"read", "metrics", "admin"}))
        key = self._find(_presented(headers))
        if key is None or (key.expires is not None and key.expires <= datetime.now(UTC)):
            raise UnauthenticatedError("an API key is needed, and this one is missing, unknown or expired")
        if scope not in key.scopes:
            raise ForbiddenError(f"this API key lacks the scope {scope}")
        return Caller(key.id, key.scopes)

    def _find(self, presented: str) -> ApiKey | None:
        """The key that was presented; every known one is compared, in constant time each."""
        digest = sha256(presented.encode()).hexdigest()
        matches = [key for key in self._keys or () if hmac.compare_digest(key.sha256, digest)]
        return matches[0] if presented and matches else None


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """The keys of a file, one JSON object a line.

    Raises:
        SettingsError: the file cannot be read, a line is wrong, or there is no key in it.
    """
    try:
        lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"ECG_API_KEYS: the file cannot be read: {type(error).__name__}") from None
    if not lines:
        raise SettingsError("ECG_API_KEYS: the file holds no key")
    return tuple(_key(line, number) for number, line in enumerate(lines, start=1))


def new_key(name: str, scopes: frozenset[Scope]) -> tuple[str, str]:
    """A fresh key for its owner, and the line for the service's file."""
    key = secrets.token_urlsafe(32)
    line = {"id": name, "sha256": sha256(key.encode()).hexdigest(), "scopes": sorted(scopes)}
    return key, json.dumps(line)


def _key(line: str, number: int) -> ApiKey:
    try:
        return ApiKey.model_validate_json(line)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise SettingsError(f"ECG_API_KEYS: key {number} is wrong at {where or 'its JSON'}") from None


def _presented(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return headers.get("x-api-key", "")
