"""What a lane does with a batch, in its thread: read what nobody has read, run the network, and write whole answers."""

import time
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass

from model.engine import Engine, Outputs
from model.errors import EngineError
from service.pieces import Entry, Outcome, Piece, is_finite, joined, parted


@dataclass(frozen=True)
class BatchRun:
    """What one run of the network took, for the metrics.

    Attributes:
        windows: that it saw.
        seconds: on the engine.
        taken_s_ago: since its ECGs were taken out of the queue.
        waits_s: how long each new ECG had waited there.
        contexts: of the requests that brought them, in the same order.
    """

    windows: int
    seconds: float
    taken_s_ago: float
    waits_s: tuple[float, ...]
    contexts: tuple[Context, ...]


@dataclass(frozen=True)
class Lane:
    """Does batches, each in one thread.

    Attributes:
        engine: runs the windows.
        observe: told of every run.
    """

    engine: Engine
    observe: Callable[[BatchRun], None]

    def work(self, batch: list[Piece], more: Callable[[Entry], None]) -> list[Outcome]:
        """What came of each piece, in order.

        Args:
            batch: pieces of several ECGs.
            more: told before the run of an ECG that turned out to have more windows than its piece.

        Raises:
            Exception: of the engine, which says nothing of any one ECG.
        """
        taken_s = time.monotonic()
        outcomes = {piece: _read(piece.entry, more) for piece in batch}
        ready = [piece for piece, error in outcomes.items() if error is None and not piece.entry.answer.done()]
        if ready:
            outcomes.update(zip(ready, self._run(ready, taken_s), strict=True))
        return list(outcomes.values())

    def _run(self, pieces: list[Piece], taken_s: float) -> list[Outcome]:
        began_s = time.monotonic()
        outputs = self.engine.run(joined(pieces))
        ended_s = time.monotonic()
        shares = parted(pieces, outputs)
        new = [piece.entry for piece in pieces if piece.first == 0]
        waits_s = tuple(taken_s - entry.since_s for entry in new)
        contexts = tuple(entry.context for entry in new)
        windows = sum(map(len, pieces))
        self.observe(BatchRun(windows, ended_s - began_s, ended_s - taken_s, waits_s, contexts))
        return [_gone_on(piece, share) for piece, share in zip(pieces, shares, strict=True)]


def _read(entry: Entry, more: Callable[[Entry], None]) -> Outcome:
    """Why there is nothing to run, if so; what is wrong with one ECG does not touch the others."""
    if entry.is_read or entry.answer.done():
        return None
    try:
        entry.windows()
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to who sent the ECG
        return error
    if entry.left:
        more(entry)
    return None


def _gone_on(piece: Piece, outputs: Outputs) -> Outcome:
    """The outputs of a piece; of a whole ECG, once it has been gone on with."""
    if not is_finite(outputs):
        return EngineError("the model answered with numbers that are not finite")
    entry = piece.entry
    if len(piece) < len(entry) or entry.answer.done():
        return outputs
    try:
        entry.context.run(entry.then, outputs)
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to who sent the ECG
        return error
    return outputs
