"""Training windows on the device that trains: half precision in a card's memory, memory-mapped on the CPU."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class WindowStore:
    """Random access to windows.

    Args:
        windows: float16 (W, L, S), mV.
        device: where batches are wanted; a card holds all the windows, so that it never waits for the host.
    """

    def __init__(self, windows: npt.NDArray[np.float16], device: torch.device) -> None:
        self._host = windows
        self._device = device
        self._held = torch.from_numpy(np.array(windows)).to(device) if device.type != "cpu" else None

    def take(self, rows: npt.NDArray[np.integer]) -> Tensor:
        """Float32 (B, L, S) of some windows, in the order asked for."""
        if self._held is not None:
            return self._held[torch.from_numpy(rows).to(self._device)].float()
        return torch.from_numpy(self._host[rows].astype(np.float32))
