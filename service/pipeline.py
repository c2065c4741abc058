"""From a body to an answer: decoding, the network and the writing, each in bounded workers; knows no HTTP.

On a CPU a lane does ECGs whole, all three in one thread; with a card, or processes that read, each has threads of its
own, and nothing waits where the network could run.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256

from model.engine import Outputs
from model.reader import Part, Prepared
from model.reading.waves import Waves
from service.batching import Batcher
from service.lane import BatchRun
from service.pieces import Array
from service.reading import Asked, Decode, Reading
from service.second_opinion import SecondOpinion
from service.telemetry import Telemetry
from service.threads import Pool, Threads
from service.tracing import note_stage
from service.turns import Claim

WHOLE_BYTES = 1 << 20
"""Larger bodies are decoded beside the lanes, or a stat ECG could wait for a second behind one of them; what is smaller
takes a quarter of a second at most (5 minutes at 1999 Hz, packed)."""


@dataclass(frozen=True)
class Workers:
    """Threads, apart by what they do, so that none waits behind another's work.

    Attributes:
        decode: bytes to windows, where no lane does that.
        engine: one a lane of the batcher.
        answer: outputs to bytes, where no lane does that; a classical delineator is waited for here.
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


@dataclass(eq=False)
class _Ecg:
    """A job and what has become of it; one thread at a time has it.

    Attributes:
        job: what to do.
        prepared: its windows; none before it is decoded.
        answered: its answer, once that is written.
    """

    job: Job
    prepared: Prepared = field(init=False)
    answered: Answered | None = None


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
        self._whole = reading.reader.engine.device == "cpu" and not reading.waits
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
        ecg = _Ecg(job)
        outputs = await self._outputs(ecg)
        if ecg.answered is None:
            classical = await self._second.waves(ecg.prepared) if self._second and self._wants_second(ecg) else None
            ecg.answered = await self._workers.answer.run(job.claim, self._render, ecg, outputs, classical)
        if self._aside:
            self._aside(ecg.prepared, outputs)
        return ecg.answered

    async def _outputs(self, ecg: _Ecg) -> Outputs:
        """What the network says; where lanes do ECGs whole, the answer is written by then, as a rule."""
        claim = ecg.job.claim
        if not self._whole:
            return await self.batcher.run(await self._decoded(ecg), claim)
        windows = partial(self._windows, ecg) if len(ecg.job.body) <= WHOLE_BYTES else await self._decoded(ecg)
        return await self.batcher.run(windows, claim, partial(self._write, ecg))

    async def _decoded(self, ecg: _Ecg) -> Array:
        """Windows, decoded beside the lanes."""
        self.batcher.require(ecg.job.claim)  # nothing is decoded that would be refused right after
        return await self._workers.decode.run(ecg.job.claim, self._windows, ecg)

    def _windows(self, ecg: _Ecg) -> Array:
        ecg.prepared = self.reading.prepare(ecg.job.decode, ecg.job.body)
        return ecg.prepared.windows.signal_mv

    def _write(self, ecg: _Ecg, outputs: Outputs) -> None:
        """Write the answer, unless a second opinion has to be waited for."""
        if not self._wants_second(ecg):
            ecg.answered = self._render(ecg, outputs, None)

    def _wants_second(self, ecg: _Ecg) -> bool:
        return self._second is not None and self.reader.wants_second_opinion(ecg.prepared, ecg.job.parts)

    def _render(self, ecg: _Ecg, outputs: Outputs, classical: Waves | None) -> Answered:
        job = ecg.job
        body_sha256 = sha256(job.body).hexdigest()
        asked = Asked(ecg.prepared, outputs, classical, job.parts, job.request_id, body_sha256)
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
            context.run(note_stage, "queue", wait_s, ended_s_ago=run.taken_s_ago)
            context.run(note_stage, "inference", run.seconds)

    return observe
