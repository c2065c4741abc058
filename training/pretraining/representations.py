"""What a frozen encoder says of every record, computed once and kept on disk."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from model.nn.encoder import Encoder
from training.data.dataset import PreparedSet
from training.data.windows import WindowStore

BATCH = 64
SLICE = 512  # windows between two writes: what is lost when a run is cut off


class Representations:
    """Mean and standard deviation over the tokens of each window, in a file named after all that they depend on.

    Args:
        encoder: frozen; on the device that computes.
        data: the windows.
        folder: where the file lies; one that is there is used, as far as it is filled.
    """

    def __init__(self, encoder: Encoder, data: PreparedSet, folder: Path) -> None:
        self._encoder = encoder.eval()
        self._data = data
        self._windows = WindowStore(data.windows, encoder.embed.weight.device)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"representations-{_identity(encoder, data)}.npy"
        shape = (len(data.windows), 2 * encoder.config.dim)
        if not path.exists():
            _write_empty(path, shape)
        self._held = np.lib.format.open_memmap(path, "r+")

    def of(self, records: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """(record, 2 D) of some records, in their order; a record of several windows is their mean."""
        first = np.searchsorted(self._data.window_record, records)
        last = np.searchsorted(self._data.window_record, records, side="right")
        rows = np.concatenate([np.arange(*bounds) for bounds in zip(first, last, strict=True)])
        missing = rows[np.isnan(self._held[rows, 0])]
        for start in tqdm(range(0, len(missing), SLICE), "representations", disable=not len(missing)):
            self._fill(missing[start : start + SLICE])
        starts = np.concatenate([[0], np.cumsum(last - first)[:-1]])
        return np.asarray(np.add.reduceat(self._held[rows], starts) / (last - first)[:, None], dtype=np.float32)

    def _fill(self, rows: npt.NDArray[np.intp]) -> None:
        self._held[rows] = represent(self._encoder, self._windows, rows)
        self._held.flush()


def _write_empty(path: Path, shape: tuple[int, int]) -> None:
    """A file of NaN, its room taken: a disk that fills up under a memory map kills the process without a word."""
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("wb") as file:
            np.save(file, np.full(shape, np.nan, dtype=np.float32))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@torch.no_grad()
def represent(encoder: Encoder, windows: WindowStore, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Mean and standard deviation over the tokens of some windows, (row, 2 D)."""
    encoder.eval()
    parts = []
    for start in range(0, len(rows), BATCH):
        tokens = encoder(windows.take(rows[start : start + BATCH]))  # (B, N, D)
        parts.append(torch.cat([tokens.mean(1), tokens.std(1)], dim=1).float().cpu().numpy())
    return np.concatenate(parts)


def _identity(encoder: Encoder, data: PreparedSet) -> str:
    """Of all that a representation depends on: the windows in their order, the encoder's rules and its weights."""
    digest = hashlib.sha256(json.dumps([data.windows.shape, asdict(encoder.config)]).encode())
    for start in range(0, len(data.windows), SLICE):
        digest.update(data.windows[start : start + SLICE].tobytes())
    for name, weight in sorted(encoder.state_dict().items()):
        digest.update(name.encode() + weight.cpu().numpy().tobytes())
    return digest.hexdigest()[:12]
