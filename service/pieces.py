"""One ECG cut into the windows of several batches, and its answer put together from what comes back."""

import asyncio
from contextvars import Context, copy_context
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from model.engine import Outputs
from model.errors import EngineError
from service.turns import Claim

Array = npt.NDArray[np.float32]


@dataclass(eq=False)
class Entry:
    """One ECG in the queue.

    Attributes:
        windows: float32 (window, lead, sample).
        claim: its place in the order.
        answer: is given the outputs, or why there are none, once.
        since_s: when it came.
        taken: windows that are on the engine or done.
        context: of the request that brought it.
    """

    windows: Array
    claim: Claim
    answer: asyncio.Future[Outputs]
    since_s: float
    taken: int = 0
    context: Context = field(default_factory=copy_context)
    _outputs: dict[int, Outputs] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Windows that no batch has taken."""
        return len(self.windows) - self.taken

    def cut(self, most: int) -> "Piece":
        """The next windows, at most so many."""
        first = self.taken
        self.taken += min(most, self.left)
        return Piece(self, first, self.taken)

    def refuse(self, error: Exception) -> None:
        """Answer with an error, unless it has been answered."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def put(self, first: int, outputs: Outputs) -> None:
        """Keep a piece's outputs by its first window, and answer when every window has come back."""
        if self.answer.done():
            return
        if not _finite(outputs):
            self.refuse(EngineError("the model answered with numbers that are not finite"))
            return
        self._outputs[first] = outputs
        if sum(len(piece.logits) for piece in self._outputs.values()) == len(self.windows):
            self.answer.set_result(_stacked([self._outputs[place] for place in sorted(self._outputs)]))


@dataclass(frozen=True)
class Piece:
    """Consecutive windows of one ECG in one batch."""

    entry: Entry
    first: int
    last: int

    @property
    def windows(self) -> Array:
        """Its windows."""
        return self.entry.windows[self.first : self.last]


def joined(batch: list[Piece]) -> Array:
    """The windows of a batch."""
    return batch[0].windows if len(batch) == 1 else np.concatenate([piece.windows for piece in batch])


def deliver(batch: list[Piece], outputs: Outputs) -> None:
    """Give every piece the rows that it put in.

    Raises:
        EngineError: there are more or fewer rows than were put in, and nobody is given any.
    """
    rows = sum(piece.last - piece.first for piece in batch)
    arrays = [outputs.logits, outputs.embedding, *outputs.waves.values()]
    if any(len(values) != rows for values in arrays):
        raise EngineError(f"the model answered {len(outputs.logits)} windows of {rows}")
    row = 0
    for piece in batch:
        count = piece.last - piece.first
        piece.entry.put(piece.first, outputs if count == rows else outputs[row : row + count])
        row += count


def _finite(outputs: Outputs) -> bool:
    arrays = [outputs.logits, outputs.embedding, *outputs.waves.values()]
    return all(np.isfinite(values).all() for values in arrays if values.dtype.kind == "f")


def _stacked(pieces: list[Outputs]) -> Outputs:
    if len(pieces) == 1:
        return pieces[0]
    return Outputs(
        np.concatenate([one.logits for one in pieces]),
        np.concatenate([one.embedding for one in pieces]),
        {name: np.concatenate([one.waves[name] for one in pieces]) for name in pieces[0].waves},
    )
