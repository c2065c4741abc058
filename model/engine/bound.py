"""Runs batches through buffers that stay: one set for each bucket, on the device, so that nothing is allocated."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from model.engine.contract import Array
from model.engine.devices import memory_of

Values = dict[str, npt.NDArray[np.generic]]

DTYPES = {
    "tensor(float)": np.float32,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
}
"""Of what leaves a graph; a graph that answers anything else cannot be bound."""

WARMING = 3
"""Runs of a bucket before it is warm; onnxruntime records its CUDA graph within the first, others replay it."""

_one_at_a_time = Lock()
"""For the runs of all sessions: while one records a CUDA graph no other may copy to the card, or both fail."""


def buckets_of(largest: int) -> tuple[int, ...]:
    """Batch sizes 1, 2, 4, ... up to the largest, which is one of them."""
    powers = [1 << power for power in range(largest.bit_length()) if 1 << power < largest]
    return (*powers, largest)


class BoundSession:
    """A session with buffers for each bucket; a batch is padded to the next bucket, and the padding cut off again.

    Everything runs on one thread: a CUDA graph belongs to the thread that recorded it, and the buffers to one run at
    a time.

    Args:
        session: float32 `ecg` (batch, lead, sample) in; a dynamic batch is the first axis of every output.
        largest: most windows of one run; a larger batch is run in turns.
        device: where the session runs.
    """

    def __init__(self, session: ort.InferenceSession, *, largest: int, device: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{device}-session")
        self._buckets = self._thread.submit(_warm_buckets, session, buckets_of(largest), device).result()

    def run(self, windows: Array) -> Values:
        """Every output by name, one row a window."""
        return self._thread.submit(self._run, windows).result()

    def _run(self, windows: Array) -> Values:
        most = self._buckets[-1].rows
        parts = [self._run_one(windows[first : first + most]) for first in range(0, len(windows), most)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run_one(self, windows: Array) -> Values:
        return next(one for one in self._buckets if one.rows >= len(windows)).run(windows)


class _Bucket:
    """The buffers of one batch size."""

    def __init__(self, session: ort.InferenceSession, rows: int, device: str) -> None:
        self.rows = rows
        self._session = session
        self._binding = session.io_binding()
        self._options = ort.RunOptions()
        self._options.add_run_config_entry("gpu_graph_id", str(rows))  # a recorded graph for each batch size
        source = session.get_inputs()[0]
        shape = (rows, *source.shape[1:])
        self._staged: Array = np.zeros(shape, np.float32)
        self._input = _value(shape, np.float32, device)
        self._binding.bind_ortvalue_input(source.name, self._input)
        self._outputs = {
            one.name: _value((rows, *one.shape[1:]), DTYPES[one.type], device) for one in session.get_outputs()
        }
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)

    def run(self, windows: Array) -> Values:
        """The rows of the windows alone, in memory of their own."""
        count = len(windows)
        self._staged[:count] = windows
        self._staged[count:] = 0.0
        with _one_at_a_time:
            self._input.update_inplace(self._staged)
            self._session.run_with_iobinding(self._binding, self._options)
            return {name: value.numpy()[:count].copy() for name, value in self._outputs.items()}


def _value(shape: Sequence[int], dtype: Any, device: str) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_shape_and_type(shape, dtype, memory_of(device), 0)


def _warm_buckets(session: ort.InferenceSession, sizes: tuple[int, ...], device: str) -> tuple[_Bucket, ...]:
    buckets = tuple(_Bucket(session, rows, device) for rows in sizes)
    for bucket in reversed(buckets):  # the largest first: the arena grows once
        for _ in range(WARMING):
            bucket.run(np.zeros((bucket.rows, *session.get_inputs()[0].shape[1:]), np.float32))
    return buckets
