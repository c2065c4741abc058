"""At the door: which of API key, token and certificate a request must bear, and whether it may do what it asks."""

import asyncio
from collections.abc import Mapping

from service.errors import ForbiddenError, UnauthenticatedError
from service.security.api_keys import KeyRing
from service.security.callers import ANYONE, SCOPES, Caller, Scope
from service.security.issuer import IssuerKeys
from service.security.tokens import Tokens, is_token
from service.settings import Settings


class Guard:
    """Lets callers in. Without keys and tokens everybody may do everything, which settings allow on loopback alone.

    Args:
        keys: API keys; None where they are off.
        tokens: those of an identity provider; None where they are off.
    """

    def __init__(self, keys: KeyRing | None = None, tokens: Tokens | None = None) -> None:
        self._keys = keys
        self._tokens = tokens

    @property
    def keys_lost(self) -> bool:
        """Whether the API keys are those of a file that is gone or damaged."""
        return self._keys is not None and self._keys.stale

    @property
    def issuer_lost(self) -> bool:
        """Whether the identity provider did not answer when it was asked last."""
        return self._tokens is not None and self._tokens.keys.stale

    async def require(self, headers: Mapping[str, str], scope: Scope) -> Caller:
        """The caller, from `Authorization: Bearer KEY_OR_TOKEN` or `X-API-Key: KEY`.

        Raises:
            UnauthenticatedError: nothing that lets in.
            IssuerUnavailableError: a token that nobody can verify at present.
            ForbiddenError: the caller lacks the scope.
        """
        caller = await self._caller(headers)
        if scope not in caller.scopes:
            raise ForbiddenError(f"this caller lacks the scope {scope}")
        return caller

    async def _caller(self, headers: Mapping[str, str]) -> Caller:
        if self._keys is None and self._tokens is None:
            return Caller(ANYONE, frozenset(SCOPES))
        presented = _presented(headers)
        if self._tokens and is_token(presented):
            return await self._tokens.require(presented)
        if self._keys is None:
            raise UnauthenticatedError("a token is needed")
        if self._keys.due:
            await asyncio.to_thread(self._keys.look)
        return self._keys.require(presented)


def build_guard(settings: Settings) -> Guard:
    """The guard that the settings ask for.

    Raises:
        SettingsError: the file of keys is wrong.
    """
    return Guard(KeyRing(settings.api_keys) if settings.api_keys else None, _tokens(settings))


def _tokens(settings: Settings) -> Tokens | None:
    if not settings.oidc_issuer:
        return None
    return Tokens(
        IssuerKeys(settings.oidc_issuer),
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        algorithms=settings.token_algorithms,
        scope_prefix=settings.oidc_scope_prefix,
    )


def _presented(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
