"""The work behind LitServe: one API server and one inference process a core, which is how it scales on a CPU."""

import os
from typing import Annotated, Any

import litserve
from fastapi import Body, Response

from tests.bench.peers.work import BODY, PORT, WORKERS, Work


class Api(litserve.LitAPI):  # type: ignore[misc]
    """What both kinds of body share."""

    def setup(self, device: str) -> None:
        """Load the model in the inference process."""
        self._work = Work()

    def encode_response(self, output: bytes) -> Response:
        """The answer as it goes out."""
        return Response(output, media_type="application/json")


class Raw(Api):
    """Samples as they are; bytes cross to the inference process as they came."""

    def decode_request(self, request: Annotated[bytes, Body(media_type="application/octet-stream")]) -> bytes:
        """The body."""
        return request

    def predict(self, body: bytes) -> bytes:
        """The answer."""
        return self._work.raw(body)


class Json(Api):
    """JSON, which the server parses."""

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        """The parsed body."""
        return request

    def predict(self, body: dict[str, Any]) -> bytes:
        """The answer."""
        return self._work.json(body)


if __name__ == "__main__":
    api = {"raw": Raw, "json": Json}[os.environ[BODY]](api_path="/ecg")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(os.environ[WORKERS]), timeout=600)
    server.run(
        host="127.0.0.1",
        port=int(os.environ[PORT]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
    )
