"""At the door: which of API key, token and certificate a request must bear, and whether it may do what it asks."""

import asyncio
from collections.abc import Mapping

from service.errors import ForbiddenError
from service.security.api_keys import KeyRing
from service.security.callers import ANYONE, SCOPES, Caller, Scope
from service.settings import Settings


class Guard:
    """Lets callers in. Without keys everybody may do everything, which settings allow on loopback alone.

    Args:
        keys: API keys; None where they are off.
    """

    def __init__(self, keys: KeyRing | None = None) -> None:
        self._keys = keys

    @property
    def stale(self) -> bool:
        """Whether the keys are those of a file that has been lost."""
        return self._keys is not None and self._keys.stale

    async def require(self, headers: Mapping[str, str], scope: Scope) -> Caller:
        """The caller, from `Authorization: Bearer KEY` or `X-API-Key: KEY`.

        Raises:
            UnauthenticatedError: nothing that lets in.
            ForbiddenError: the caller lacks the scope.
        """
        caller = await self._caller(headers)
        if scope not in caller.scopes:
            raise ForbiddenError(f"this caller lacks the scope {scope}")
        return caller

    async def _caller(self, headers: Mapping[str, str]) -> Caller:
        if self._keys is None:
            return Caller(ANYONE, frozenset(SCOPES))
        if self._keys.due:
            await asyncio.to_thread(self._keys.look)
        return self._keys.require(_presented(headers))


def build_guard(settings: Settings) -> Guard:
    """The guard that the settings ask for.

    Raises:
        SettingsError: the file of keys is wrong.
    """
    return Guard(KeyRing(settings.api_keys) if settings.api_keys else None)


def _presented(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
