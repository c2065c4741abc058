"""The classical delineator in processes of its own: bounded, warmed, each replaced when it crashes or hangs.

neurokit2 holds the interpreter for tens of milliseconds an ECG and brings 200 MB of imports; neither belongs in the
process that answers requests.
"""

from typing import ClassVar

import numpy as np

from model.engine import Outputs
from model.errors import EcgError
from model.reader import Prepared
from model.reading.second_opinion import delineate
from model.reading.waves import Waves
from model.signal.recording import Recording
from service.processes import ProcessError, Processes, Work


class DelineationError(EcgError):
    """The waves of an ECG could not be found: its process crashed, hung, or none was free in time."""

    code: ClassVar[str] = "delineation_failed"


class WavePool:
    """Processes that delineate; `delineate` is a `model.reader.Delineator` and may be called from many threads.

    Args:
        processes: how many.
        timeout_s: longest wait for a process, and longest delineation.

    Raises:
        DelineationError: the system has no room for so many; none is left behind.
    """

    def __init__(self, *, processes: int, timeout_s: float) -> None:
        try:
            self._processes: Processes[Recording, Waves] = Processes(
                _delineator, processes=processes, timeout_s=timeout_s, name="ecg-waves"
            )
        except ProcessError as error:
            raise DelineationError(f"delineation failed: {error}") from None

    @property
    def processes(self) -> tuple[int, ...]:
        """Their ids."""
        return self._processes.pids

    def warm(self) -> None:
        """Wait until every process has delineated once; raises DelineationError when one cannot."""
        try:
            self._processes.warm(_heartless())
        except ProcessError as error:
            raise DelineationError(f"delineation failed: {error}") from None

    def delineate(self, prepared: Prepared, outputs: Outputs) -> Waves:
        """Waves of a prepared recording; raises DelineationError."""
        del outputs
        return self.classical(prepared.recording)

    def classical(self, recording: Recording) -> Waves:
        """Waves of a recording; raises DelineationError."""
        try:
            return self._processes.ask(recording)
        except ProcessError as error:
            raise DelineationError(f"delineation failed: {error}") from None

    def close(self) -> None:
        """End every process."""
        self._processes.close()


def _delineator() -> Work[Recording, Waves]:
    return delineate


def _heartless() -> Recording:
    """Ten seconds of seeded noise: enough to import and run everything once."""
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 5000))
    return Recording(noise.astype(np.float32), 500.0, ("II",))
