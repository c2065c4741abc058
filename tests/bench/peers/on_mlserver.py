"""The work behind MLServer: JSON in its own V2 protocol, raw samples by the custom handler that it offers."""

import asyncio
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from fastapi import Body, Response
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.handlers import custom_handler
from mlserver.types import InferenceRequest, InferenceResponse

from tests.bench.peers.work import PORT, SERVED, WORKERS, Work


class Ecg(MLModel):  # type: ignore[misc]
    """One model; with one worker it runs in the process that listens, which is its fastest form."""

    async def load(self) -> bool:
        """Load the model."""
        self._work = Work()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The answer to the tensors `ecg` (lead, sample), `leads` and `sampling_hz`."""
        given = {one.name: one for one in payload.inputs}
        leads = tuple(StringCodec.decode_input(given["leads"]))
        signal_mv = NumpyCodec.decode_input(given["ecg"])
        answer = self._work.signal(signal_mv, leads, float(given["sampling_hz"].data[0]))
        return InferenceResponse(
            model_name=self.name, outputs=[StringCodec.encode_output("answer", [answer.decode()], use_bytes=False)]
        )

    @custom_handler(rest_path="/raw")  # type: ignore[untyped-decorator]
    async def raw(self, body: Annotated[bytes, Body(media_type="application/octet-stream")]) -> Response:
        """The answer to a raw body; bytes, since what crosses to a worker is pickled and a request cannot be."""
        return Response(self._work.raw(body), media_type="application/json")

    @custom_handler(rest_path=SERVED, rest_method="GET")  # type: ignore[untyped-decorator]
    async def served(self) -> Response:
        """Says that the routes of the model are there; MLServer calls itself ready before it has loaded any model."""
        return Response()


async def main() -> None:
    """Serve until the process is ended."""
    workers = int(os.environ[WORKERS])
    with TemporaryDirectory() as folder:
        settings = Settings(
            debug=False,
            host="127.0.0.1",
            http_port=int(os.environ[PORT]),
            grpc_port=int(os.environ[PORT]) + 1,
            metrics_endpoint=None,
            metrics_dir=str(Path(folder)),
            parallel_workers=0 if workers == 1 else workers,
            gzip_enabled=False,
        )
        await MLServer(settings).start([ModelSettings(name="ecg", implementation=Ecg)])


if __name__ == "__main__":
    asyncio.run(main())
