"""Checkpoints on disk, written beside and renamed, so that an interrupted write loses nothing."""

import errno
import os
from pathlib import Path
from typing import Any

import torch

from training.errors import TrainingError


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a state whole or not at all.

    Raises:
        TrainingError: the disk is full or not writable; an earlier checkpoint at `path` is untouched.
    """
    beside = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except (OSError, RuntimeError) as error:
        beside.unlink(missing_ok=True)
        raise TrainingError(f"cannot write {path.name}: {'the disk is full' if _is_full(error) else error}") from error


def _is_full(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error; torch makes an error about positions of it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__context__
    return False


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a state onto the CPU.

    Raises:
        TrainingError: no such file, or not a checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise TrainingError(f"no checkpoint at {path}") from None
    except IsADirectoryError:
        raise TrainingError(f"{path} is a folder, neither a checkpoint nor a bundle with its manifest") from None
    except Exception as error:
        raise TrainingError(f"{path.name} is not a checkpoint: {type(error).__name__}") from error
    if not isinstance(state, dict):
        raise TrainingError(f"{path.name} is not a checkpoint: it holds a {type(state).__name__}")
    return state
