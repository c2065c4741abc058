"""An identity provider in a thread: its keys, the tokens it signs, and every way in which it can fail."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "ecg-service"


@dataclass
class Provider:
    """What it answers; tests change it while it runs."""

    url: str = ""
    keys: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    says: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    delay_s: float = 0.0
    raw: bytes | None = None

    def answer(self, path: str) -> bytes:
        if self.raw is not None:
            return self.raw
        if path.endswith("openid-configuration"):
            return json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | self.says).encode()
        return json.dumps({"keys": [public(key, name) for name, key in self.keys.items()]}).encode()

    def token(self, key: str = "one", algorithm: str = "RS256", **claims: Any) -> str:
        """A token as this provider signs it, with some claims changed; None takes one out."""
        now = int(time.time())
        usual = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "s-1",
            "exp": now + 60,
            "iat": now,
            "scope": "openid ecg.read",
        }
        said = {name: value for name, value in (usual | claims).items() if value is not None}
        return jwt.encode(said, self.keys[key], algorithm, headers={"kid": key})


def public(key: Any, name: str) -> dict[str, Any]:
    """A key as the provider publishes it."""
    form: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {"kid": name, "use": "sig"} | dict(form.to_jwk(key.public_key(), as_dict=True))


def forged(head: dict[str, object], claims: dict[str, object], signature: bytes = b"") -> str:
    """A token put together by hand, as no library would."""
    parts = [json.dumps(head).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


@contextmanager
def providing() -> Iterator[Provider]:
    """A provider on a free port of loopback, until the block ends."""
    provider = Provider(keys={"one": RSA_KEY, "two": EC_KEY})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked.append(self.path)
            time.sleep(provider.delay_s)
            body = provider.answer(self.path)
            self.send_response(provider.status)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
