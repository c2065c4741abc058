"""The public keys of an identity provider: discovered, cached, fetched anew within bounds, kept while it is down."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from service.errors import IssuerUnavailableError
from service.settings import is_protected
from service.telemetry import LOGGER

if TYPE_CHECKING:
    from jwt import PyJWK

FRESH_S = 600.0
"""Older keys are fetched anew, behind the back of requests that need not wait for it."""

STALE_S = 24 * 3600.0
"""Older keys are not used: who was locked out a day ago stays out, whatever became of the provider."""

RETRY_S = 10.0
"""Between two fetches, whoever asks for keys that nobody knows."""

TIMEOUT_S = 5.0
MOST_BYTES = 1024 * 1024
MOST_KEY_ID = 256
LEAST_RSA_BITS = 2048
DISCOVERY = "/.well-known/openid-configuration"

_log = logging.getLogger(LOGGER)


@dataclass(frozen=True)
class PublicKey:
    """One key of the provider.

    Attributes:
        key: of `cryptography`.
        algorithm: the only one it may be used with; None where the provider does not say.
    """

    key: Any
    algorithm: str | None


Fetch = Callable[[str], dict[str, PublicKey]]
"""From an issuer to its keys by id; blocks, and is called in a thread."""


class IssuerKeys:
    """The keys of one issuer by their ids.

    Args:
        issuer: https URL; http on loopback.
        fetch: asks the provider.

    Attributes:
        stale: whether the last fetch failed; the keys of before are used for a day.
    """

    def __init__(self, issuer: str, fetch: Fetch | None = None) -> None:
        self.stale = False
        self._issuer = issuer
        self._fetch = fetch or fetch_keys
        self._keys: dict[str, PublicKey] = {}
        self._fetched_s = -STALE_S
        self._tried_s = -RETRY_S
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, key_id: str) -> PublicKey | None:
        """The key with this id; None where the provider has none.

        Raises:
            IssuerUnavailableError: the provider has not answered for so long that its keys cannot be relied on.
        """
        known = key_id in self._keys
        if not known or self._age_s > FRESH_S:
            fetching = self._begin()
            if fetching and (not known or self._age_s > STALE_S):
                await asyncio.shield(fetching)
        if self._age_s > STALE_S:
            raise IssuerUnavailableError(
                "the identity provider does not answer, and without it no token can be verified"
            )
        return self._keys.get(key_id)

    @property
    def _age_s(self) -> float:
        return monotonic() - self._fetched_s

    def _begin(self) -> asyncio.Task[None] | None:
        """The fetch that runs, or a new one unless the last was just now."""
        if self._fetching is None and monotonic() - self._tried_s >= RETRY_S:
            self._tried_s = monotonic()
            self._fetching = asyncio.create_task(self._fetch_anew())
        return self._fetching

    async def _fetch_anew(self) -> None:
        try:
            self._keys = await asyncio.to_thread(self._fetch, self._issuer)
            self._fetched_s = monotonic()
            self.stale = False
        except Exception as error:  # noqa: BLE001 - whatever the provider does, the keys of before remain
            self.stale = True
            _log.error("the issuer's keys cannot be had", extra={"fields": {"reason": type(error).__name__}})
        finally:
            self._fetching = None


def fetch_keys(issuer: str) -> dict[str, PublicKey]:
    """The keys of an issuer, by OpenID Connect Discovery 1.0; redirects are not followed.

    Raises:
        ValueError: an answer that is too large or not what it should be.
        TimeoutError, httpx.HTTPError: no answer, or none in time.
    """
    found = _get_json(issuer.rstrip("/") + DISCOVERY)
    if found.get("issuer") != issuer:
        raise ValueError("the provider names another issuer")
    address = found.get("jwks_uri")
    if not isinstance(address, str) or not is_protected(address):
        raise ValueError("the provider names no https address of keys")
    return read_key_set(_get_json(address))


def read_key_set(found: dict[str, Any]) -> dict[str, PublicKey]:
    """The keys of a JWK Set (RFC 7517) that can verify a signature; others are passed over.

    Raises:
        ValueError: there are none.
    """
    from jwt import PyJWKSet, PyJWTError

    try:
        usable = [key for key in PyJWKSet.from_dict(found).keys if _is_usable(key)]
    except (PyJWTError, AttributeError, TypeError) as error:
        raise ValueError("no set of keys") from error
    return {str(key.key_id): PublicKey(key.key, key._jwk_data.get("alg")) for key in usable}  # noqa: SLF001


def _is_usable(key: "PyJWK") -> bool:
    """Public, strong, meant for signatures, and named."""
    bits = getattr(key.key, "key_size", LEAST_RSA_BITS)
    strong = key.key_type != "RSA" or bits >= LEAST_RSA_BITS
    named = isinstance(key.key_id, str) and 0 < len(key.key_id) <= MOST_KEY_ID
    return named and strong and key.key_type in {"RSA", "EC", "OKP"} and key.public_key_use in {None, "sig"}


def _get_json(address: str) -> dict[str, Any]:
    found = json.loads(asyncio.run(_get(address)))
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - it is the value that is wrong
    return found


async def _get(address: str) -> bytes:
    """The body of an answer that is whole in time, its head included."""
    import httpx

    body = b""
    async with (
        asyncio.timeout(TIMEOUT_S),
        httpx.AsyncClient(timeout=TIMEOUT_S) as client,
        client.stream("GET", address, headers={"accept": "application/json"}) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            raise ValueError(f"status {answer.status_code}")
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > MOST_BYTES:
                raise ValueError("an answer that is too large")
    return body
