"""A disk that fills up within a checkpoint is said to be full, whatever torch makes of it."""

import errno
import io
from pathlib import Path
from typing import Any

import pytest
import torch

from training.errors import TrainingError
from training.running.checkpoint import write_checkpoint

ROOM = 10_000  # bytes


class SmallDisk(io.BytesIO):
    """A file on a disk with little room."""

    def write(self, data: Any) -> int:
        if self.tell() + len(bytes(data)) > ROOM:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def _small(*_: object, **__: object) -> SmallDisk:
    return SmallDisk()


@pytest.mark.parametrize("numbers", [2_000, 3_000, 1_000_000])
def test_a_disk_that_fills_up_on_the_way_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: int) -> None:
    monkeypatch.setattr(Path, "open", _small)
    with pytest.raises(TrainingError, match=r"^cannot write checkpoint\.pt: the disk is full$"):
        write_checkpoint(tmp_path / "checkpoint.pt", {"a": torch.zeros(numbers), "b": torch.zeros(numbers)})
    assert not list(tmp_path.iterdir())
