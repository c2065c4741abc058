"""From a body to an answer: decoding, the batcher and the reader, each in its own bounded workers; knows no HTTP."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256

from model.engine import Outputs
from model.reader import Part, Prepared
from model.reading.waves import Waves
from service.batching import Batcher, BatchRun
from service.reading import Asked, Decode, Reading
from service.second_opinion import SecondOpinion
from service.telemetry import Telemetry
from service.threads import Pool, Threads
from service.tracing import note_stage
from service.turns import Claim


@dataclass(frozen=True)
class Workers:
    """Threads, apart by what they do, so that none waits behind another's work.

    Attributes:
        decode: bytes to windows.
        engine: one a lane of the batcher.
        answer: outputs to bytes; a classical delineator is waited for here.
    """

    decode: Pool
    engine: Threads
    answer: Pool

    def close(self) -> None:
        """Let what runs end, and drop what has not begun; the engine had its time and is not waited for."""
        self.decode.close()
        self.engine.close(wait=False)
        self.answer.close()


@dataclass(frozen=True)
class Job:
    """One ECG to answer.

    Attributes:
        body: as received.
        decode: turns it into a recording.
        parts: what to answer.
        request_id: stands in the answer.
        claim: its place in the order, at every stage.
    """

    body: bytes
    decode: Decode
    parts: frozenset[Part]
    request_id: str
    claim: Claim


@dataclass(frozen=True)
class Answered:
    """An answer on its way out.

    Attributes:
        json: `service.schemas.AnswerBody`.
        body_sha256: of what was answered.
        model_sha256: of the bundle that answered.
    """

    json: bytes
    body_sha256: str
    model_sha256: str


class Pipeline:
    """Answers ECGs with one bundle; a new bundle gets a new pipeline.

    Args:
        reading: does what an ECG needs besides the network.
        batcher: the queue in front of that engine.
        workers: threads.
        telemetry: is told of stages, verdicts and findings.
        aside: gets every ECG with its outputs once it is answered, and returns at once.
        second: gives second opinions; None where there are none.
    """

    def __init__(
        self,
        reading: Reading,
        batcher: Batcher,
        workers: Workers,
        telemetry: Telemetry,
        *,
        aside: Callable[[Prepared, Outputs], None] | None = None,
        second: SecondOpinion | None = None,
    ) -> None:
        self.reader = reading.reader
        self.reading = reading
        self.batcher = batcher
        self._workers = workers
        self._telemetry = telemetry
        self._aside = aside
        self._second = second
        self._callers = 0
        self._left = asyncio.Event()

    @contextmanager
    def lease(self) -> Iterator["Pipeline"]:
        """Keep the pipeline open for a caller."""
        self._callers += 1
        try:
            yield self
        finally:
            self._callers -= 1
            self._left.set()

    async def close(self, timeout_s: float) -> None:
        """Wait for every caller and for the queue, each within a bound."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._callers:
                    self._left.clear()
                    await self._left.wait()
        await self.batcher.close(timeout_s)
        await asyncio.to_thread(self.reading.close)

    async def answer(self, job: Job) -> Answered:
        """The answer to one ECG.

        Raises:
            EcgError: of the decoder, of `Reader.prepare`, of the queue or of the engine.
        """
        self.batcher.require(job.claim)  # nothing is decoded that would be refused right after
        prepared = await self._workers.decode.run(job.claim, self.reading.prepare, job.decode, job.body)
        outputs = await self.batcher.run(prepared.windows.signal_mv, job.claim)
        classical = await self._second_opinion(job, prepared)
        answered = await self._workers.answer.run(job.claim, self._render, job, prepared, outputs, classical)
        if self._aside:
            self._aside(prepared, outputs)
        return answered

    async def _second_opinion(self, job: Job, prepared: Prepared) -> Waves | None:
        """The classical waves, where they are asked for and can be had in time."""
        if self._second is None or not self.reader.wants_second_opinion(prepared, job.parts):
            return None
        return await self._second.waves(prepared)

    def _render(self, job: Job, prepared: Prepared, outputs: Outputs, classical: Waves | None) -> Answered:
        body_sha256 = sha256(job.body).hexdigest()
        asked = Asked(prepared, outputs, classical, job.parts, job.request_id, body_sha256)
        rendered = self.reading.render(asked)
        self._telemetry.count_answer(rendered.verdict, rendered.present)
        return Answered(rendered.json, body_sha256, self.reader.bundle.sha256)


def observe_batches(telemetry: Telemetry) -> Callable[[BatchRun], None]:
    """What the batcher tells the metrics."""

    def observe(run: BatchRun) -> None:
        telemetry.batch_size.observe(run.windows)
        telemetry.count_stage("inference", run.seconds)
        for wait_s, context in zip(run.waits_s, run.contexts, strict=True):
            telemetry.count_stage("queue", wait_s)
            context.run(note_stage, "queue", wait_s, ended_s_ago=run.seconds)
            context.run(note_stage, "inference", run.seconds)

    return observe
