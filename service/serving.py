"""What outlives a request: the bundle that answers, its engine and queue, the workers, and whether it all is ready."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from model.bundle import Bundle, read_bundle
from model.engine import Engine, OnnxEngine
from model.files import Limits
from model.reader import Delineator, Reader
from service.admission import Admission
from service.batching import Batcher, BatchLimits
from service.errors import NotReadyError
from service.pipeline import Pipeline, Workers, observe_batches
from service.security import Guard, read_keys
from service.settings import Settings, default_bundle, usable_cores
from service.telemetry import Telemetry
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
        self.telemetry = Telemetry()
        self.guard = Guard(read_keys(settings.api_keys) if settings.api_keys else None)
        self.admission = Admission(ecgs=settings.queue_ecgs, body_bytes=int(settings.queue_mib * 2**20))
        self.limits = Limits(body_bytes=settings.body_bytes, duration_s=settings.duration_s)
        self.draining = False
        self._engine = engine
        self._delineate = delineate
        self._pipeline: Pipeline | None = None
        self._waves: WavePool | None = None
        self._workers: Workers | None = None
        self.telemetry.watch_ready(lambda: self.ready)

    @property
    def pipeline(self) -> Pipeline:
        """What answers now; raises NotReadyError before the start and after the stop."""
        if self._pipeline is None:
            raise NotReadyError("the service is not ready")
        return self._pipeline

    @property
    def ready(self) -> bool:
        """Whether new ECGs should be sent here."""
        return self._pipeline is not None and not self.draining

    async def start(self) -> None:
        """Verify the bundle, warm engine and delineators, and become ready.

        Raises:
            BundleError: the bundle is damaged.
            EngineError: it does not run on the device that was asked for.
        """
        bundle = await asyncio.to_thread(read_bundle, self.settings.bundle or default_bundle())
        engine = self._engine
        if engine is None:
            engine = await asyncio.to_thread(build_engine, self.settings, bundle)
        limits = batch_limits(self.settings, engine.device)
        processes = self.settings.wave_workers or usable_cores()
        self._workers = build_workers(lanes=limits.lanes, answers=processes + 1)
        warming = asyncio.to_thread(warm_up, engine, bundle, limits.windows)
        delineate, _ = await asyncio.gather(asyncio.to_thread(self._build_delineator, processes), warming)
        batcher = Batcher(engine, self._workers.engine, limits, observe_batches(self.telemetry))
        batcher.start()
        self.telemetry.watch_queue(lambda: batcher.depth, lambda: batcher.age_s)
        self.telemetry.show_model(bundle, variant=engine.variant, device=engine.device)
        self._pipeline = Pipeline(Reader(bundle, engine, delineate), batcher, self._workers, self.telemetry)

    def _build_delineator(self, processes: int) -> Delineator:
        """The one that was given, or the classical one in warm processes."""
        if self._delineate:
            return self._delineate
        self._waves = WavePool(processes=processes, timeout_s=self.settings.wave_timeout_s)
        self._waves.warm()
        return self._waves.delineate

    async def stop(self) -> None:
        """Answer what was accepted, within a bound, and end every worker."""
        self.draining = True
        self.admission.close()
        if self._pipeline:
            await self._pipeline.batcher.close(self.settings.drain_s)
            self._pipeline = None
        if self._waves:
            await asyncio.to_thread(self._waves.close)
        if self._workers:
            await asyncio.to_thread(self._workers.close)


def build_engine(settings: Settings, bundle: Bundle) -> Engine:
    """The engine that the settings ask for; raises EngineError."""
    return OnnxEngine(bundle, variant=settings.variant, device=settings.device)


def batch_limits(settings: Settings, device: str) -> BatchLimits:
    """Lanes and batches: on a CPU one thread a core and no batching, on a card one lane and large batches."""
    on_cpu = device == "cpu"
    return BatchLimits(
        lanes=settings.workers or (usable_cores() if on_cpu else 1),
        windows=settings.batch_windows or (1 if on_cpu else 32),
        wait_s=settings.batch_wait_ms / 1000,
        queue_ecgs=settings.queue_ecgs,
        queue_age_s=settings.queue_age_s,
    )


def build_workers(*, lanes: int, answers: int) -> Workers:
    """Threads for every stage."""
    return Workers(
        decode=ThreadPoolExecutor(usable_cores(), thread_name_prefix="decode"),
        engine=ThreadPoolExecutor(lanes, thread_name_prefix="engine"),
        answer=ThreadPoolExecutor(answers, thread_name_prefix="answer"),
    )


def warm_up(engine: Engine, bundle: Bundle, largest: int) -> None:
    """Run every power of two up to the largest batch once."""
    spec = bundle.manifest.spec
    size = 1
    while size <= largest:
        engine.run(np.zeros((size, len(spec.leads), spec.samples), np.float32))
        size *= 2
