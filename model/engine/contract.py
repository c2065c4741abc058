"""What an engine is: windows in, outputs out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Outputs:
    """What the network says of a batch of windows, one row each.

    Attributes:
        logits: float32 (window, statement).
        embedding: float32 (window, width).
        waves: further outputs of the graph by name, one row a window; empty without a wave head.
    """

    logits: Array
    embedding: Array
    waves: dict[str, npt.NDArray[np.generic]]

    def __getitem__(self, rows: slice) -> "Outputs":
        """The outputs of some of the windows."""
        waves = {name: values[rows] for name, values in self.waves.items()}
        return Outputs(self.logits[rows], self.embedding[rows], waves)


class Engine(Protocol):
    """Something that runs windows; safe to call from several threads."""

    @property
    def variant(self) -> str:
        """Name of the graph that runs."""

    @property
    def device(self) -> str:
        """`cpu`, `cuda` or `tensorrt`."""

    def run(self, windows: Array) -> Outputs:
        """Outputs for float32 (window, lead, sample)."""
