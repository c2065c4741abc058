"""What outlives a request: the bundle that answers, its engine and queue, the workers, and whether it all is ready."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager

from model.bundle import Bundle, read_bundle
from model.engine import Engine
from model.errors import EcgError
from model.files import Limits
from model.reader import Delineator, Reader, delineate_by_network
from service.admission import Admission
from service.audit import AuditLog
from service.batching import Batcher, BatchLimits
from service.errors import NotReadyError
from service.idempotency import Answers
from service.loading import CARD_WINDOWS, load_model
from service.pipeline import Pipeline, Workers, observe_batches
from service.readers import Readers
from service.reading import Reading, ReadingHere
from service.schemas import model_wire
from service.second_opinion import SecondOpinion
from service.security import build_guard
from service.settings import MEBIBYTE, Settings, default_bundle, usable_cores
from service.shadow import Sampling, Shadow, ShadowMetrics, open_shadow
from service.soundness import require_sound
from service.telemetry import Telemetry
from service.threads import Pool, Threads
from service.tracing import open_tracing
from service.turns import Claim, Turns
from service.wave_pool import WavePool


class Serving:
    """The state of one service, from start to stop.

    Args:
        settings: how to serve.
        engine: runs the bundle in place of onnxruntime.
        delineate: finds the waves in place of the classical processes; called in threads.
    """

    def __init__(self, settings: Settings, engine: Engine | None = None, delineate: Delineator | None = None) -> None:
        self.settings = settings
        self.telemetry = Telemetry(open_tracing(settings.traces))
        self.guard = build_guard(settings)
        self.admission = Admission(
            ecgs=settings.most_ecgs,
            body_bytes=int(settings.queue_mib * MEBIBYTE),
            caller_ecgs=settings.caller_ecgs,
            caller_rate=settings.caller_rate,
        )
        self.answers = Answers(int(settings.resend_mib * MEBIBYTE))
        self.audit = AuditLog(settings.audit) if settings.audit else None
        self.limits = Limits(body_bytes=settings.body_bytes, duration_s=settings.duration_s)
        self.draining = False
        self._engine = engine
        self._delineate = delineate
        self._pipeline: Pipeline | None = None
        self._waves: WavePool | None = None
        self._second = SecondOpinion(processes=settings.wave_workers or 1, timeout_s=settings.wave_timeout_s)
        self._workers: Workers | None = None
        self._batch_turns = Turns(1, settings.queue_age_s)
        self._shadow: Shadow | None = None
        self._shadow_metrics = ShadowMetrics(self.telemetry.registry)
        self._loaded: tuple[Bundle, Engine] | None = None
        self._reloading = asyncio.Lock()
        self.telemetry.watch_ready(lambda: self.ready)
        self.telemetry.watch_part("api_keys", lambda: self.guard.keys_lost)
        self.telemetry.expiry.watch("api_keys", lambda: self.guard.keys_end)
        self.telemetry.watch_part("audit", lambda: not self.writable)
        self.telemetry.watch_part("issuer", lambda: self.guard.issuer_lost)
        self.telemetry.watch_part("shadow", lambda: self._shadow_lost)

    @property
    def pipeline(self) -> Pipeline:
        """What answers now; raises NotReadyError before the start and after the stop."""
        if self._pipeline is None:
            raise NotReadyError("the service is not ready")
        return self._pipeline

    def lease(self) -> AbstractContextManager[Pipeline]:
        """Hold what answers now against a reload."""
        return self.pipeline.lease()

    @property
    def ready(self) -> bool:
        """Whether new ECGs should be sent here."""
        return self._pipeline is not None and not self.draining and not self._pipeline.batcher.hung and self.writable

    @property
    def lost(self) -> bool:
        """Whether nothing but a restart will bring answers again."""
        return self._pipeline is not None and self._pipeline.batcher.lost

    @property
    def writable(self) -> bool:
        """Whether answers can be written down; without an audit log there is nothing to write."""
        return self.audit is None or not self.audit.broken

    @asynccontextmanager
    async def batch_turn(self, claim: Claim) -> AsyncIterator[None]:
        """Wait until an ECG of a batch may be worked on: by its caller's rate, and by turns with those of others."""
        await asyncio.sleep(self.admission.pace_s(claim.caller))
        async with self._batch_turns.turn(claim):
            yield

    @property
    def at_once(self) -> int:
        """ECGs of batches that are worked on at a time: enough to keep every worker busy, and room for others."""
        limits = batch_limits(self.settings, self.pipeline.reader.engine.device)
        most = min(self.settings.most_ecgs // 2, self.settings.caller_ecgs or self.settings.most_ecgs)
        return max(1, min(most, 2 * limits.lanes * limits.windows + usable_cores()))

    def load(self) -> None:
        """Read the bundle and its engine ahead of the start, where what is wrong can be said in one line.

        Raises:
            SettingsError, BundleError, EngineError: as they say.
        """
        self._loaded = self._load()

    async def start(self) -> None:
        """Verify the bundle, warm engine and delineators, and become ready.

        Raises:
            BundleError: the bundle is damaged.
            EngineError: it does not run on the device that was asked for.
        """
        if self._loaded is None:
            self._loaded = await asyncio.to_thread(self._load)
        bundle, engine = self._loaded
        self._loaded = None
        limits = batch_limits(self.settings, engine.device)
        threads = max(usable_cores(), readers(self.settings, engine.device))
        self._workers = build_workers(limits.lanes, threads, answers=(self.settings.wave_workers or threads) + 1)
        delineate, self._shadow, _ = await asyncio.gather(
            asyncio.to_thread(self._delineator, bundle),
            asyncio.to_thread(self._open_shadow, bundle),
            asyncio.to_thread(require_sound, engine, bundle, largest=limits.windows),
        )
        reading = await asyncio.to_thread(self._reading, Reader(bundle, engine, delineate))
        self._pipeline = self._open(reading, limits, self._workers)
        self._batch_turns = Turns(self.at_once, self.settings.queue_age_s)

    async def reload(self) -> Pipeline:
        """Read the bundle's folder anew, prove it, and answer by it from now on; callers notice nothing.

        Returns:
            What answers now.

        Raises:
            BundleError, EngineError: it is not sound; the one before goes on answering.
        """
        async with self._reloading:
            before, workers = self.pipeline, self._workers
            bundle, engine = await asyncio.to_thread(self._load)
            limits = batch_limits(self.settings, engine.device)
            await asyncio.to_thread(require_sound, engine, bundle, largest=limits.windows)
            delineate = await asyncio.to_thread(self._delineator, bundle)
            reading = await asyncio.to_thread(self._reading, Reader(bundle, engine, delineate))
            shadow, self._shadow = self._shadow, await asyncio.to_thread(self._open_shadow, bundle)
            if workers is None or self.draining:
                await asyncio.to_thread(reading.close)
                raise NotReadyError("the service is stopping")
            self._pipeline = after = self._open(reading, limits, workers)
            await before.close(self.settings.drain_s)
            if shadow:
                await asyncio.to_thread(shadow.close)
            return after

    def _load(self) -> tuple[Bundle, Engine]:
        """The bundle and its engine, proved."""
        folder = self.settings.bundle or default_bundle()
        return (read_bundle(folder), self._engine) if self._engine else load_model(self.settings, folder)

    def _open(self, reading: Reading, limits: BatchLimits, workers: Workers) -> Pipeline:
        reader = reading.reader
        batcher = Batcher(reader.engine, workers.engine, limits, observe_batches(self.telemetry))
        batcher.start()
        self.telemetry.watch_queue(batcher.depth, batcher.age_s)
        self.telemetry.show_model(reader.bundle, variant=reader.engine.variant, device=reader.engine.device)
        aside = self._shadow.offer if self._shadow else None
        second = self._second if reader.bundle.manifest.wave_leads else None
        return Pipeline(reading, batcher, workers, self.telemetry, aside=aside, second=second)

    def _reading(self, reader: Reader) -> Reading:
        """Processes that read, warm, where they are wanted and the network delineates; otherwise this process."""
        model = model_wire(reader.bundle, reader.engine)
        processes = readers(self.settings, reader.engine.device)
        waits = not self._delineate and not reader.bundle.manifest.wave_leads
        if not processes or self._delineate or waits:
            return ReadingHere(reader, model, self.telemetry.stage, waits=waits)
        reading = Readers(reader, model, self.telemetry.note, processes=processes)
        try:
            reading.warm()
        except EcgError:
            reading.close()
            raise
        self.telemetry.watch_readers(lambda: reading.pids)
        return reading

    def _open_shadow(self, live: Bundle) -> Shadow | None:
        """The second bundle, where the settings name one."""
        sampling = Sampling(
            self.settings.shadow_share, busy=lambda: not self._pipeline or len(self._pipeline.batcher) > 0
        )
        return open_shadow(live, self.settings.shadow_bundle, sampling, self._shadow_metrics)

    @property
    def _shadow_lost(self) -> bool:
        """Whether a second bundle was asked for and is not compared."""
        return self.settings.shadow_bundle is not None and (self._shadow is None or self._shadow.lost)

    def _delineator(self, bundle: Bundle) -> Delineator:
        """The one that was given, the network's own, or the classical one in warm processes, which outlive a reload."""
        if self._delineate:
            return self._delineate
        if bundle.manifest.wave_leads:
            return delineate_by_network
        if self._waves is None:
            processes = self.settings.wave_workers or usable_cores()
            self._waves = WavePool(processes=processes, timeout_s=self.settings.wave_timeout_s)
            self._waves.warm()
        return self._waves.delineate

    async def stop(self) -> None:
        """Answer what was accepted, within a bound, and end every worker."""
        self.draining = True
        self.admission.close()
        if self._pipeline:
            await self._pipeline.close(self.settings.drain_s)
            self._pipeline = None
        if self._shadow:
            await asyncio.to_thread(self._shadow.close)
        if self._waves:
            await asyncio.to_thread(self._waves.close)
        await asyncio.to_thread(self._second.close)
        if self._workers:
            await asyncio.to_thread(self._workers.close)
        if self.telemetry.tracing:
            await asyncio.to_thread(self.telemetry.tracing.close)
        if self.audit:
            self.audit.close()


def batch_limits(settings: Settings, device: str) -> BatchLimits:
    """Lanes and batches: on a CPU one thread a core and no batching, on a card one lane and large batches."""
    on_cpu = device == "cpu"
    return BatchLimits(
        lanes=settings.workers or (usable_cores() if on_cpu else 1),
        windows=settings.batch_windows or (1 if on_cpu else CARD_WINDOWS),
        wait_s=settings.batch_wait_ms / 1000,
        queue_ecgs=settings.most_ecgs,
        queue_age_s=settings.queue_age_s,
        run_timeout_s=settings.engine_timeout_s,
    )


def readers(settings: Settings, device: str) -> int:
    """Processes that read: as many as the network needs on all other cores, and none where threads of this one do.

    Beside 50 ms of network an ECG takes the interpreter for 5 to 15 ms: one process keeps up with three cores.
    """
    if settings.readers is not None:
        return settings.readers
    cores = usable_cores()
    return cores // 4 if device == "cpu" else max(0, cores - 2)


def build_workers(lanes: int, decoders: int, *, answers: int) -> Workers:
    """Threads for every stage."""
    return Workers(
        decode=Pool(decoders, "decode"),
        engine=Threads(lanes, "engine"),
        answer=Pool(answers, "answer"),
    )
