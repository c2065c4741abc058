"""One ECG cut into the windows of several batches, and its answer put together from what comes back."""

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from model.engine import Outputs
from model.errors import EngineError
from service.turns import Claim

Array = npt.NDArray[np.float32]

Read = Callable[[], Array]
"""Gives the windows of an ECG, float32 (window, lead, sample); called once, in the thread of a lane."""

Then = Callable[[Outputs], None]
"""Goes on with an ECG in the thread that ran all of its windows; not called where several runs had them."""

Outcome = Outputs | Exception | None
"""What came of a piece: what the network said, or why it said nothing; None where nobody waits for it any more."""


def nothing(_: Outputs) -> None:
    """There is nothing to go on with."""


@dataclass(eq=False)
class Entry:
    """One ECG in the queue.

    Attributes:
        source: its windows, float32 (window, lead, sample), or what reads them; until then it counts as one.
        claim: its place in the order.
        then: goes on with it.
        answer: is given the outputs, or why there are none, once.
        since_s: when it came.
        taken: windows that are on the engine or done.
        context: of the request that brought it.
    """

    source: Array | Read
    claim: Claim
    then: Then
    answer: asyncio.Future[Outputs]
    since_s: float
    taken: int = 0
    context: Context = field(default_factory=copy_context)
    _outputs: dict[int, Outputs] = field(default_factory=dict)

    def __len__(self) -> int:
        return 1 if callable(self.source) else len(self.source)

    @property
    def is_read(self) -> bool:
        """Whether its windows are known."""
        return not callable(self.source)

    @property
    def left(self) -> int:
        """Windows that no batch has taken."""
        return len(self) - self.taken

    def windows(self) -> Array:
        """All of them, read if nobody has; raises whatever reading them does."""
        if callable(self.source):
            self.source = self.context.run(self.source)
        return self.source

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
        self._outputs[first] = outputs
        if sum(len(piece.logits) for piece in self._outputs.values()) == len(self):
            self.answer.set_result(_stacked([self._outputs[place] for place in sorted(self._outputs)]))


@dataclass(frozen=True)
class Piece:
    """Consecutive windows of one ECG in one batch."""

    entry: Entry
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first

    @property
    def windows(self) -> Array:
        """Its windows."""
        return self.entry.windows()[self.first : self.last]

    def settle(self, outcome: Outcome) -> None:
        """Give its ECG what came of it."""
        if isinstance(outcome, Outputs):
            self.entry.put(self.first, outcome)
        elif outcome is not None:
            self.entry.refuse(outcome)


def joined(batch: list[Piece]) -> Array:
    """The windows of a batch."""
    return batch[0].windows if len(batch) == 1 else np.concatenate([piece.windows for piece in batch])


def parted(batch: list[Piece], outputs: Outputs) -> list[Outputs]:
    """The rows that each piece put in.

    Raises:
        EngineError: there are more or fewer rows than were put in, so nobody is given any.
    """
    rows = sum(map(len, batch))
    if any(len(values) != rows for values in _arrays(outputs)):
        raise EngineError(f"the model answered {len(outputs.logits)} windows of {rows}")
    if len(batch) == 1:
        return [outputs]
    ends = np.cumsum([len(piece) for piece in batch])
    return [outputs[end - len(piece) : end] for piece, end in zip(batch, ends, strict=True)]


def is_finite(outputs: Outputs) -> bool:
    """Whether every number is one."""
    return all(np.isfinite(values).all() for values in _arrays(outputs) if values.dtype.kind == "f")


def _arrays(outputs: Outputs) -> list[npt.NDArray[np.generic]]:
    return [outputs.logits, outputs.embedding, *outputs.waves.values()]


def _stacked(pieces: list[Outputs]) -> Outputs:
    if len(pieces) == 1:
        return pieces[0]
    return Outputs(
        np.concatenate([one.logits for one in pieces]),
        np.concatenate([one.embedding for one in pieces]),
        {name: np.concatenate([one.waves[name] for one in pieces]) for name in pieces[0].waves},
    )
