"""The measurement of a device, as far as it goes without one."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.bench.device import PEAK_SIZE, Row, best_s, matrix_peak, rows, table, why_not


def test_every_bucket_is_measured_alone_and_beside_torch() -> None:
    seen: list[tuple[int, ...]] = []

    def run(windows: npt.NDArray[np.float32]) -> None:
        seen.append(windows.shape)

    measured = list(rows(run, run, largest=4, seconds=0.0))
    assert [row.windows for row in measured] == [1, 2, 4]
    assert all(row.compiled for row in measured)
    assert set(seen) == {(1, 8, 2500), (2, 8, 2500), (4, 8, 2500)}
    assert [row.compiled for row in rows(run, None, largest=1, seconds=0.0)] == [None]


def test_the_share_is_of_the_matrix_peak() -> None:
    lines = list(table([Row(32, 100.0, 50.0), Row(1, 10.0, None)], flops=2_000_000_000, peak=1e12))
    assert lines[2:] == ["| 32 | 100.0 | 20.0% | 50.0 | 2.00 |", "| 1 | 10.0 | 2.0% |  |  |"]


def test_torch_that_does_not_compile_is_left_out_and_said() -> None:
    def broken(windows: npt.NDArray[np.float32]) -> None:
        raise RuntimeError("no compiler")

    assert why_not(broken) == "RuntimeError"
    assert why_not(lambda windows: windows) == ""


def test_a_peak_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEAK_SIZE, "cpu", 64)
    assert matrix_peak("cpu", torch.float32, 0.0) > 0
    assert best_s(lambda: None, 0.0) >= 0
