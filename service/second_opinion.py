"""Second opinions: classical waves beside the network's, from processes that start with the first who asks."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from model.reader import Prepared
from model.reading.waves import Waves
from service.wave_pool import DelineationError, WavePool


class SecondOpinion:
    """Gives second opinions or none, within a bound of time; neither its processes nor its threads serve others.

    Args:
        processes: how many, each with neurokit2 in it.
        timeout_s: longest that an answer waits; one process that takes longer is replaced.
    """

    def __init__(self, *, processes: int, timeout_s: float) -> None:
        self._processes = processes
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="second")
        self._starting = Lock()
        self._pool: WavePool | None = None

    async def waves(self, prepared: Prepared) -> Waves | None:
        """The classical waves of a prepared recording, or None where they cannot be had in time."""
        asked = asyncio.get_running_loop().run_in_executor(self._threads, self._delineate, prepared)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asked
        except (DelineationError, TimeoutError):
            return None

    def close(self) -> None:
        """End every process, and with it whatever waits for one."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._starting:
            if self._pool:
                self._pool.close()

    def _delineate(self, prepared: Prepared) -> Waves:
        with self._starting:
            if self._pool is None:
                self._pool = WavePool(processes=self._processes, timeout_s=self._timeout_s)
        return self._pool.classical(prepared.recording)
