"""Processes that read: an ECG's decoding and its answer beside the process that owns the network.

The interpreter runs one thread at a time, and an ECG needs it for some milliseconds besides the network: on many cores,
or with a card, one process would keep most of them waiting. A process holds nothing of an ECG between two calls, so any
can go on with it, and one that was lost takes nothing along.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from model.bundle import Bundle
from model.engine import Outputs
from model.errors import EcgError, EngineError
from model.reader import PARTS, Prepared, Reader, delineate_by_network
from model.signal.recording import Recording
from service import examples
from service.errors import InternalError
from service.processes import HungError, LostError, ProcessError, Processes
from service.reading import Asked, Decode, ReadingHere, Rendered
from service.telemetry import LOGGER, Stage, timed

TIMEOUT_S = 60.0
"""Longest that a call may take, or wait for a process; a recording of 5 minutes takes less than one second."""

_Call = tuple[str, tuple[Any, ...]]

_log = logging.getLogger(LOGGER)


@dataclass(frozen=True, eq=False)
class _Result:
    """What came of a call, and the seconds of its stages."""

    value: Any
    took: dict[Stage, float]


class Readers:
    """A `service.reading.Reading` in processes of its own.

    Args:
        reader: of a bundle whose network delineates; its engine stays in this process.
        model: `service.schemas.ModelBody` of what answers.
        note: is told how many seconds a stage took.
        processes: how many.

    Raises:
        EngineError: the system has no room for so many.
    """

    waits = True

    def __init__(
        self, reader: Reader, model: dict[str, str], note: Callable[[Stage, float], None], *, processes: int
    ) -> None:
        self.reader = reader
        self._note = note
        try:
            self._processes: Processes[_Call, _Result] = Processes(
                partial(_opened, reader.bundle, model), processes=processes, timeout_s=TIMEOUT_S, name="ecg-reader"
            )
        except ProcessError as error:
            raise EngineError(f"a process that reads ECGs does not start: {error}") from None

    @property
    def pids(self) -> tuple[int, ...]:
        """Ids of the processes."""
        return self._processes.pids

    def warm(self) -> None:
        """Have every process read a simulated ECG; raises EngineError where one cannot."""
        try:
            self._processes.warm(("prepare", (_simulated, b"")))
            prepared = self._asked(("prepare", (_simulated, b""))).value  # which no metric counts
            outputs = self.reader.engine.run(prepared.windows.signal_mv)
            self._processes.warm(("render", (Asked(prepared, outputs, None, PARTS, "", ""),)))
        except ProcessError as error:
            raise EngineError(f"a process that reads ECGs does not: {error}") from None

    def prepare(self, decode: Decode, body: bytes) -> Prepared:
        """As `Reading` says; raises InternalError where two processes in a row were lost over it."""
        prepared: Prepared = self._called("prepare", decode, body)
        return prepared

    def render(self, asked: Asked) -> Rendered:
        """As `Reading` says; raises InternalError where two processes in a row were lost over it."""
        rendered: Rendered = self._called("render", asked)
        return rendered

    def close(self) -> None:
        """End every process."""
        self._processes.close()

    def _called(self, name: str, *given: object) -> Any:
        try:
            result = self._asked((name, given))
        except ProcessError as error:
            _log.error("a process that reads ECGs failed: %s", error)
            raise InternalError from None
        for stage, seconds in result.took.items():
            self._note(stage, seconds)
        if isinstance(result.value, EcgError):
            raise result.value
        return result.value

    def _asked(self, call: _Call) -> _Result:
        """The result, from another process where the first was lost, for whatever reason but that it took too long."""
        try:
            return self._processes.ask(call)
        except HungError:
            raise
        except LostError:
            return self._processes.ask(call)


class _Elsewhere:
    """The engine, where a process has none."""

    variant = device = "elsewhere"

    def run(self, windows: object) -> Outputs:
        del windows
        raise EngineError("the network runs in another process")


def _opened(bundle: Bundle, model: dict[str, str]) -> Callable[[_Call], _Result]:
    """What does the work of one process."""
    took: dict[Stage, float] = {}
    timing = partial(timed, took.__setitem__)
    reading = ReadingHere(Reader(bundle, _Elsewhere(), delineate_by_network), model, timing)

    def work(call: _Call) -> _Result:
        name, given = call
        took.clear()
        try:
            value = getattr(reading, name)(*given)
        except EcgError as error:
            value = error
        return _Result(value, dict(took))

    return work


def _simulated(_: bytes) -> Recording:
    leads = examples.simulated_mv()
    return Recording(np.stack(list(leads.values())).astype(np.float32), examples.SAMPLING_HZ, tuple(leads))
