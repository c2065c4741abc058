"""At the door: which of API key, token and certificate a request must bear."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from service.errors import UnauthenticatedError
from service.security.api_keys import KeyRing
from service.security.callers import ANYONE, SCOPES, Caller, Scope
from service.security.issuer import IssuerKeys
from service.security.tokens import Tokens, is_token
from service.settings import Settings, names_in


class Guard:
    """Lets callers in. With nothing to ask for everybody may do everything, which settings allow on loopback alone.

    Args:
        keys: API keys; None where they are off.
        tokens: those of an identity provider; None where they are off.
        certified: what a client certificate is good for; None where TLS asks for none. Where there are keys or tokens
            it opens the connection and no more.
    """

    def __init__(
        self,
        keys: KeyRing | None = None,
        tokens: Tokens | None = None,
        certified: frozenset[Scope] | None = None,
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._certified = certified

    @property
    def keys_lost(self) -> bool:
        """Whether the API keys are those of a file that is gone or damaged."""
        return self._keys is not None and self._keys.file.stale

    @property
    def keys_end(self) -> datetime | None:
        """When the first of the API keys ends; None where none does."""
        return self._keys.end if self._keys else None

    @property
    def issuer_lost(self) -> bool:
        """Whether the identity provider did not answer when it was asked last."""
        return self._tokens is not None and self._tokens.keys.stale

    async def identify(self, headers: Mapping[str, str], certificate: str | None = None) -> Caller:
        """The caller, from `Authorization: Bearer KEY_OR_TOKEN`, `X-API-Key: KEY`, or the connection.

        Args:
            headers: of the request.
            certificate: id of the client certificate that the connection was opened with.

        Raises:
            UnauthenticatedError: nothing that lets in.
            IssuerUnavailableError: a token that nobody can verify at present.
        """
        asked = self._keys is not None or self._tokens is not None
        return await self._bearer(headers) if asked else self._connected(certificate)

    def _connected(self, certificate: str | None) -> Caller:
        if self._certified is None:
            return Caller(ANYONE, frozenset(SCOPES))
        if certificate is None:
            raise UnauthenticatedError("a client certificate is needed")
        return Caller(certificate, self._certified)

    async def _bearer(self, headers: Mapping[str, str]) -> Caller:
        if self._keys is not None and self._keys.file.due:
            await asyncio.to_thread(self._keys.file.look)
        presented = _presented(headers)
        if self._tokens and is_token(presented):
            return await self._tokens.require(presented)
        if self._keys is None:
            raise UnauthenticatedError("a bearer token of the identity provider is needed")
        return self._keys.require(presented)


def build_guard(settings: Settings) -> Guard:
    """The guard that the settings ask for.

    Raises:
        SettingsError: the file of keys is wrong.
    """
    return Guard(
        keys=KeyRing(settings.api_keys) if settings.api_keys else None,
        tokens=_tokens(settings),
        certified=_certified(settings),
    )


def _certified(settings: Settings) -> frozenset[Scope] | None:
    if settings.tls_client_ca is None:
        return None
    named = names_in(settings.tls_client_scopes)
    return frozenset(scope for scope in SCOPES if scope in named)


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
