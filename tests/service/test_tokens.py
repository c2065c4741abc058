"""Tokens of an identity provider: genuine ones let in, every forgery is refused, and an outage is lived through."""

import asyncio
import base64
import hmac
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.app import create_app
from service.errors import ForbiddenError, IssuerUnavailableError, UnauthenticatedError
from service.security import Guard, KeyRing, Scope, build_guard, issuer, new_key
from service.security.issuer import IssuerKeys, fetch_keys, read_key_set
from service.settings import Settings
from tests.service import bodies
from tests.service.identity import AUDIENCE, EC_KEY, RSA_KEY, Provider, forged, providing, public
from tests.service.stubs import PATIENCE_S, StubEngine, listening, no_waves


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with providing() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider) -> Provider:
    running.keys = {"one": RSA_KEY, "two": EC_KEY}
    running.says, running.status, running.delay_s, running.raw = {}, 200, 0.0, None
    running.asked.clear()
    return running


def guard_of(provider: Provider, **changes: Any) -> Guard:
    return build_guard(Settings(oidc_issuer=provider.url, oidc_audience=AUDIENCE, **changes))


def let_in(guard: Guard, token: str, scope: Scope = "read") -> str:
    caller = asyncio.run(guard.identify({"authorization": f"Bearer {token}"}))
    caller.require(scope)
    return caller.name


def test_a_genuine_token_lets_in_under_an_id_that_does_not_name_its_bearer(provider: Provider) -> None:
    guard = guard_of(provider)
    name = let_in(guard, provider.token(sub="Jane Doe"))
    assert name == let_in(guard, provider.token("two", "ES256", sub="Jane Doe", name="Jane"))
    assert name.startswith("token-")
    assert "Jane" not in name
    assert name != let_in(guard, provider.token(sub="John Doe"))
    assert len(provider.asked) == 2


@pytest.mark.parametrize(
    ("claims", "scope"),
    [
        ({"scope": "ecg.metrics other"}, "metrics"),
        ({"scope": None, "scp": ["ecg.admin"]}, "admin"),
        ({"scope": None, "scp": "ecg.read"}, "read"),
        ({"scope": None, "roles": ["x", "ecg.read"]}, "read"),
        ({"aud": [AUDIENCE, "other"]}, "read"),
    ],
)
def test_scopes_stand_where_providers_put_them(provider: Provider, claims: dict[str, Any], scope: Scope) -> None:
    assert let_in(guard_of(provider), provider.token(**claims), scope)


def test_a_subject_of_half_a_character_is_somebody_too(provider: Provider) -> None:
    guard = guard_of(provider)
    names = {let_in(guard, provider.token(sub=subject)) for subject in ("\ud800", "\udfff", "s-1")}
    assert len(names) == 3
    assert all(re.fullmatch(r"token-[0-9a-f]{32}", name) for name in names)


def test_two_clocks_may_differ_a_little(provider: Provider) -> None:
    assert let_in(guard_of(provider), provider.token(exp=int(time.time()) - 5, nbf=int(time.time()) + 20))


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "read"},
        {"scope": None},
        {"scope": 5},
        {"scope": [5, None, {}]},
        {"scope": None, "roles": {"ecg.read": 1}},
    ],
)
def test_a_token_without_our_scope_is_known_and_forbidden(provider: Provider, claims: dict[str, Any]) -> None:
    with pytest.raises(ForbiddenError):
        let_in(guard_of(provider), provider.token(**claims))


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other"},
        {"aud": None},
        {"aud": [["ecg-service"]]},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"nbf": int(time.time()) + 86_400},
        {"iat": int(time.time()) + 86_400},
        {"sub": None},
        {"sub": 7},
    ],
)
def test_claims_that_are_not_for_us_now_are_refused(provider: Provider, claims: dict[str, Any]) -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        let_in(guard_of(provider), provider.token(**claims))
    assert "elsewhere" not in refused.value.detail


def hostile(provider: Provider) -> dict[str, str]:
    """Tokens that were not signed by the provider, or not as it was agreed."""
    genuine = provider.token()
    claims = jwt.decode(genuine, options={"verify_signature": False})
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body, signature = genuine.split(".")
    by_public_key = jwt.api_jws.PyJWS().encode(b"{}", b"x" * 32, "HS256", headers={"kid": "one"})
    own: dict[str, Any] = {"kid": "one", "jku": "https://evil.example/keys", "x5u": "https://evil.example/chain"}
    return {
        "none": forged({"alg": "none", "kid": "one"}, claims),
        "None": forged({"alg": "NoNe", "kid": "one"}, claims, b"x"),
        "public key as a secret": forged({"alg": "HS256", "kid": "one"}, claims, hs256(head, body, pem)),
        "another secret": by_public_key,
        "another RSA key": jwt.encode(claims, stranger, "RS256", headers=own | {"jwk": public(stranger, "one")}),
        "another algorithm": jwt.encode(claims, RSA_KEY, "PS256", headers={"kid": "one"}),
        "another key's kind": forged({"alg": "RS256", "kid": "two"}, claims, b"x" * 256),
        "no key id": jwt.encode(claims, RSA_KEY, "RS256"),
        "a key id that is no text": forged({"alg": "RS256", "kid": ["one"]}, claims, b"x"),
        "a path as key id": jwt.encode(claims, RSA_KEY, "RS256", headers={"kid": "../../dev/null"}),
        "a query as key id": jwt.encode(claims, RSA_KEY, "RS256", headers={"kid": "one' OR '1'='1"}),
        "a long key id": jwt.encode(claims, RSA_KEY, "RS256", headers={"kid": "k" * 300}),
        "an extension that must be understood": jwt.encode(
            claims, RSA_KEY, "RS256", headers={"kid": "one", "crit": ["x"], "x": 1}
        ),
        "changed claims": f"{head}.{body[:-6]}AAAAAA.{signature}",
        "changed signature": f"{head}.{body}.{signature[:-8]}AAAAAAAA",
        "no signature": f"{head}.{body}.",
        "nested": forged({"alg": "RS256", "kid": "one", "deep": []}, claims).replace(".", ".W1tb" * 50, 1),
        "brackets": base64_of(b"[" * 6000) + ".e30.x",
        "brackets inside": f"{head}.{base64_of(b'[' * 5000)}.{signature}",
        "huge": genuine + "A" * 8192,
        "dots": "." * 100,
        "a full stop": ".",
        "letters that are none": "é.ü.ñ",
    }


def base64_of(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def hs256(head: str, body: str, secret: bytes) -> bytes:
    return hmac.digest(secret, f"{head}.{body}".encode(), "sha256")


def test_every_forgery_is_refused_and_none_makes_the_service_ask_elsewhere(provider: Provider) -> None:
    guard = guard_of(provider)
    let_in(guard, provider.token())
    for token in hostile(provider).values():
        with pytest.raises(UnauthenticatedError, match="token"):
            let_in(guard, token)
    assert set(provider.asked) == {"/.well-known/openid-configuration", "/keys"}
    assert len(provider.asked) == 2


def test_hs256_and_none_cannot_be_asked_for(provider: Provider) -> None:
    for algorithms in ("HS256", "none", "RS256,none", ""):
        with pytest.raises(ValueError, match="ECG_OIDC_ALGORITHMS"):
            Settings(oidc_issuer=provider.url, oidc_audience="a", oidc_algorithms=algorithms)
    with pytest.raises(ValueError, match="https"):
        Settings(oidc_issuer="http://issuer.example", oidc_audience="a")
    with pytest.raises(ValueError, match="together"):
        Settings(oidc_issuer="https://issuer.example")
    assert Settings(host="::", oidc_issuer="https://issuer.example", oidc_audience="a").oidc_issuer


def test_api_keys_and_tokens_live_side_by_side(provider: Provider, tmp_path: Path) -> None:
    secret, line = new_key("ward", frozenset({"read"}))
    (tmp_path / "keys").write_text(line)
    guard = guard_of(provider, api_keys=tmp_path / "keys")
    assert isinstance(guard._keys, KeyRing)
    assert let_in(guard, secret) == "ward"
    assert let_in(guard, provider.token()).startswith("token-")
    for presented in ("", "guess"):
        with pytest.raises(UnauthenticatedError):
            let_in(guard, presented)
        with pytest.raises(UnauthenticatedError):
            let_in(guard_of(provider), presented)


def test_a_new_key_is_fetched_when_a_token_names_it_and_no_oftener_than_allowed(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = guard_of(provider)

    async def rotate() -> None:
        async def enter(token: str) -> str:
            return (await guard.identify({"authorization": f"Bearer {token}"})).name

        await enter(provider.token())
        provider.keys = {"three": ec.generate_private_key(ec.SECP256R1())}
        token = provider.token("three", "ES256")
        for _ in range(20):
            with pytest.raises(UnauthenticatedError):
                await enter(token)
        assert len(provider.asked) == 2
        monkeypatch.setattr(issuer, "RETRY_S", 0.0)
        await asyncio.gather(*(enter(token) for _ in range(20)))
        assert len(provider.asked) == 4

    asyncio.run(rotate())


def test_keys_are_served_while_the_provider_is_down_but_not_for_ever(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = guard_of(provider)
    monkeypatch.setattr(issuer, "RETRY_S", 0.0)
    monkeypatch.setattr(issuer, "FRESH_S", 0.0)

    async def outlive() -> None:
        headers = {"authorization": f"Bearer {provider.token()}"}

        async def enter_until(lost: bool) -> None:
            async with asyncio.timeout(PATIENCE_S):
                while guard.issuer_lost is not lost:
                    await guard.identify(headers)
                    await asyncio.sleep(0.01)

        await guard.identify(headers)
        provider.status = 503
        await enter_until(lost=True)
        await guard.identify(headers)
        monkeypatch.setattr(issuer, "STALE_S", 0.0)
        with pytest.raises(IssuerUnavailableError):
            await guard.identify(headers)
        monkeypatch.setattr(issuer, "STALE_S", PATIENCE_S)
        provider.status = 200
        await enter_until(lost=False)

    asyncio.run(outlive())


def test_a_slow_provider_holds_up_nobody_but_its_own(provider: Provider) -> None:
    guard = guard_of(provider)
    provider.delay_s = 0.3

    async def meanwhile() -> int:
        waiting = asyncio.ensure_future(guard.identify({"authorization": f"Bearer {provider.token()}"}))
        ticks = 0
        while not waiting.done():
            await asyncio.sleep(0.01)
            ticks += 1
        await waiting
        return ticks

    assert asyncio.run(meanwhile()) > 10


@pytest.mark.parametrize(
    "changes",
    [
        {"status": 302},
        {"status": 500},
        {"raw": b"not json"},
        {"raw": b"[]"},
        {"raw": b"[" * 100_000},
        {"raw": b" " * (issuer.MOST_BYTES + 1)},
        {"keys": {}},
        {"says": {"issuer": "https://elsewhere.example"}},
        {"says": {"jwks_uri": "http://elsewhere.example/keys"}},
        {"says": {"jwks_uri": "file:///etc/passwd"}},
        {"says": {"jwks_uri": None}},
        {"delay_s": 0.5},
    ],
    ids=str,
)
def test_a_provider_that_fails_is_an_outage_and_no_refusal(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    monkeypatch.setattr(issuer, "TIMEOUT_S", 0.1 if "delay_s" in changes else 5.0)
    token = provider.token()
    for name, value in changes.items():
        setattr(provider, name, value)
    guard = guard_of(provider)
    with pytest.raises(IssuerUnavailableError):
        let_in(guard, token)
    assert guard.issuer_lost


def test_a_provider_whose_head_trickles_in_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer, "TIMEOUT_S", 0.3)

    def trickle(listener: socket.socket) -> None:
        asking, _ = listener.accept()
        with asking, suppress(OSError):
            asking.sendall(b"HTTP/1.1 200 OK\r\nx: ")
            for _ in range(30):
                time.sleep(0.1)
                asking.sendall(b"a")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        trickling = Thread(target=trickle, args=(listener,))
        trickling.start()
        begun_s = time.monotonic()
        with pytest.raises(TimeoutError):
            fetch_keys(f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert time.monotonic() - begun_s < 2
        trickling.join(PATIENCE_S)


def test_weak_secret_and_nameless_keys_are_passed_over() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - what is refused
    good = public(EC_KEY, "good")
    found = [
        public(weak, "weak"),
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
        {name: value for name, value in good.items() if name != "kid"},
        good | {"kid": "sealing", "use": "enc"},
        good | {"kid": "k" * 300},
        good,
    ]
    assert set(read_key_set({"keys": found})) == {"good"}
    for nothing in ({}, {"keys": "x"}, {"keys": [1]}, {"keys": None}):
        with pytest.raises(ValueError, match="set of keys"):
            read_key_set(nothing)


def test_a_key_is_used_with_its_own_algorithm_alone(provider: Provider) -> None:
    keys = fetch_keys(provider.url)
    assert keys["two"].algorithm in {None, "ES256"}
    restricted = {"one": issuer.PublicKey(keys["one"].key, "RS512")}
    guard = guard_of(provider)
    assert guard._tokens
    object.__setattr__(guard._tokens, "keys", IssuerKeys(provider.url, lambda _: restricted))
    with pytest.raises(UnauthenticatedError):
        let_in(guard, provider.token())


def test_over_http_a_token_lets_in_and_an_outage_asks_for_patience(provider: Provider, bundle_folder: Path) -> None:
    settings = Settings(bundle=bundle_folder, oidc_issuer=provider.url, oidc_audience=AUDIENCE)
    app = create_app(settings, StubEngine(), no_waves)
    provider.status = 500
    bearer = {"authorization": f"Bearer {provider.token()}"}
    with listening(app) as url, httpx.Client(base_url=url, timeout=PATIENCE_S, headers=bearer) as client:
        outage = client.post("/v1/ecgs", **bodies.lists())
        assert (outage.status_code, outage.json()["code"]) == (503, "issuer_unavailable")
        assert int(outage.headers["retry-after"]) >= 1
        provider.status = 200
        app.state.serving.guard._tokens.keys._tried_s = -1e9
        assert client.post("/v1/ecgs", **bodies.lists()).status_code == 200
        assert client.get("/metrics").status_code == 403
        forged_token = {"authorization": "Bearer a.b.c"}
        assert client.post("/v1/ecgs", **bodies.lists(), headers=forged_token).status_code == 401
