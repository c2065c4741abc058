"""Databases: one module each, from files to records with what is known of them; the registry is here."""

from collections.abc import Callable
from pathlib import Path

from training.errors import TrainingError
from training.sources.catalogue import Source
from training.sources.ptbxl import open_ptbxl

SOURCES: dict[str, Callable[[Path], Source]] = {
    "ptbxl": open_ptbxl,
}


def open_source(name: str, folder: Path) -> Source:
    """The database of that name in a folder.

    Raises:
        TrainingError: no such source or folder, or tables that cannot be used.
    """
    if name not in SOURCES:
        raise TrainingError(f"unknown source {name!r}; one of {', '.join(SOURCES)}")
    if not folder.is_dir():
        raise TrainingError(f"{folder} is not a folder")
    return SOURCES[name](folder)
