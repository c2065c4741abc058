"""API keys: hashed at rest in a file, each with scopes and an end; the file is read anew when it changes."""

import hmac
import json
import secrets
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from service.errors import SettingsError, UnauthenticatedError
from service.security.callers import Caller, Scope
from service.security.followed import Followed


class ApiKey(BaseModel):
    """One line of the file of keys. Keys are drawn at random with 256 bits, so one round of SHA-256 suffices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: frozenset[Scope] = frozenset({"read"})
    expires: AwareDatetime | None = None


class KeyRing:
    """The keys of a file, as it is now; a key is revoked by taking its line out.

    Args:
        path: of the file.

    Raises:
        SettingsError: at the start the file must be whole.
    """

    def __init__(self, path: Path) -> None:
        self.file = Followed("api_keys", [path], partial(read_keys, path))

    @property
    def end(self) -> datetime | None:
        """When the first of the keys that are good comes to its end; None where none of them does."""
        return min((key.expires for key in self.file.content if key.expires and not _expired(key)), default=None)

    def require(self, presented: str) -> Caller:
        """Whose key it is; every known one is compared, in constant time each.

        Raises:
            UnauthenticatedError: it is missing, unknown or expired.
        """
        digest = sha256(presented.encode()).hexdigest()
        known = [key for key in self.file.content if hmac.compare_digest(key.sha256, digest)]
        if not presented or not known or _expired(known[0]):
            raise UnauthenticatedError("an API key is needed: there was none, or one that is unknown or has expired")
        return Caller(known[0].id, known[0].scopes)


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """The keys of a file, one JSON object a line.

    Raises:
        SettingsError: the file cannot be read, a line is wrong, a key comes twice, or there is none in it.
    """
    try:
        lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"ECG_API_KEYS: the file cannot be read: {type(error).__name__}") from None
    if not lines:
        raise SettingsError("ECG_API_KEYS: the file holds no key")
    keys = tuple(_key(line, number) for number, line in enumerate(lines, start=1))
    hashes = [key.sha256 for key in keys]
    if twice := [number for number, one in enumerate(hashes, start=1) if one in hashes[: number - 1]]:
        raise SettingsError(f"ECG_API_KEYS: key {twice[0]} is that of an earlier line, which may have another end")
    return keys


def new_key(name: str, scopes: frozenset[Scope], expires: datetime | None = None) -> tuple[str, str]:
    """A fresh key for its owner, and the line for the service's file.

    Args:
        name: id of the key.
        scopes: what it is good for.
        expires: its end, with a time zone; None for none.

    Raises:
        SettingsError: a name that the file would not take.
    """
    key = secrets.token_urlsafe(32)
    line = {"id": name, "sha256": sha256(key.encode()).hexdigest(), "scopes": sorted(scopes)}
    if expires:
        line["expires"] = expires.isoformat()
    try:
        ApiKey.model_validate(line)
    except ValidationError:
        raise SettingsError("a key's name takes 1 to 64 letters, digits, dots, dashes and underscores") from None
    return key, json.dumps(line)


def _key(line: str, number: int) -> ApiKey:
    try:
        return ApiKey.model_validate_json(line)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise SettingsError(f"ECG_API_KEYS: key {number} is wrong at {where or 'its JSON'}") from None


def _expired(key: ApiKey) -> bool:
    return key.expires is not None and key.expires <= datetime.now(UTC)
