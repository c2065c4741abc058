"""Bearer tokens of the hospital's identity provider: genuine, meant for this service, and in their time (RFC 8725)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.errors import UnauthenticatedError
from service.security.callers import SCOPES, Caller, Scope, hashed_name
from service.security.issuer import MOST_KEY_ID, IssuerKeys, PublicKey

MOST_CHARACTERS = 8192
"""Longer tokens are refused before they are looked at."""

LEEWAY_S = 30
"""How far two clocks may differ."""

SCOPE_CLAIMS = ("scope", "scp", "roles")
"""Where providers put what a token is good for: RFC 8693, Okta and Entra, Entra's applications."""

REFUSED = "this token is not accepted"


@dataclass(frozen=True)
class Tokens:
    """Lets the bearers of one issuer's tokens in.

    Nothing in a token's head chooses how it is checked: the algorithms are the settings', the keys the issuer's, and
    addresses and keys that a token brings along (`jku`, `jwk`, `x5u`, `x5c`) are not looked at.

    Attributes:
        keys: of the issuer.
        issuer: what `iss` must be.
        audience: what `aud` must hold.
        algorithms: asymmetric ones.
        scope_prefix: what stands before our scopes in a token's.
    """

    keys: IssuerKeys
    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    scope_prefix: str

    async def require(self, token: str) -> Caller:
        """Whose token it is.

        Raises:
            UnauthenticatedError: it is not genuine, not for this service, or not in its time.
            IssuerUnavailableError: nobody can say, for the issuer's keys cannot be had.
        """
        if len(token) > MOST_CHARACTERS:
            raise UnauthenticatedError(f"{REFUSED}: it is longer than {MOST_CHARACTERS} characters")
        algorithm, key_id = self._head(token)
        key = await self.keys.find(key_id)
        if key is None or key.algorithm not in {None, algorithm}:
            raise UnauthenticatedError(f"{REFUSED}: its key is not the issuer's")
        claims = self._claims(token, algorithm, key)
        return Caller(hashed_name("token", self.issuer, claims["sub"]), self._scopes(claims))

    def _head(self, token: str) -> tuple[str, str]:
        """Algorithm and id of the key, as the token claims them."""
        import jwt

        try:
            head = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise UnauthenticatedError(f"{REFUSED}: it cannot be read") from None
        algorithm, key_id = head.get("alg"), head.get("kid")
        if algorithm not in self.algorithms:
            raise UnauthenticatedError(f"{REFUSED}: its algorithm is not among {', '.join(self.algorithms)}")
        if not isinstance(key_id, str) or not 0 < len(key_id) <= MOST_KEY_ID:
            raise UnauthenticatedError(f"{REFUSED}: it names no key")
        return algorithm, key_id

    def _claims(self, token: str, algorithm: str, key: PublicKey) -> dict[str, Any]:
        """What the token says, once it has been found genuine."""
        import jwt

        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise UnauthenticatedError(f"{REFUSED}: it has expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError, OverflowError):
            raise UnauthenticatedError(f"{REFUSED}: it is not genuine, or not for this service") from None
        return claims

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[Scope]:
        said = {name for claim in SCOPE_CLAIMS for name in _names(claims.get(claim))}
        return frozenset(scope for scope in SCOPES if self.scope_prefix + scope in said)


def is_token(presented: str) -> bool:
    """Whether this looks like a JWT rather than an API key, which has no full stop in it."""
    return "." in presented


def _names(claim: object) -> list[str]:
    if isinstance(claim, str):
        return claim.split()
    return [name for name in claim if isinstance(name, str)] if isinstance(claim, list) else []
