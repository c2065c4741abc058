"""A folder that is written whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import TrainingError


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that becomes it when the block ends well, and vanishes otherwise.

    Raises:
        TrainingError: `out` is there already.
    """
    if out.exists():
        raise TrainingError(f"{out} exists already; remove it or choose another folder")
    folder = out.with_name(out.name + ".part")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
        folder.replace(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
