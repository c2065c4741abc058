"""Databases: one module each, from files to records with what is known of them; the registry is here."""

from collections.abc import Callable
from pathlib import Path

from training.errors import TrainingError
from training.sources.catalogue import Source
from training.sources.challenge import open_challenge
from training.sources.code15 import open_code15
from training.sources.ptbxl import open_ptbxl
from training.sources.wfdb_folder import open_wfdb_folder

SOURCES: dict[str, Callable[[Path], Source]] = {
    "ptbxl": open_ptbxl,
    "wfdb-folder": open_wfdb_folder,
    "challenge": open_challenge,
    "code15": open_code15,
}


def open_source(name: str, folder: Path, labels: str | None = None) -> Source:
    """The database of that name in a folder.

    Args:
        name: in the registry.
        folder: where the database lies.
        labels: a label group of a benchmark in place of the vocabulary; PTB-XL as published has them.

    Raises:
        TrainingError: no such source or folder, or tables that cannot be used.
    """
    if name not in SOURCES:
        raise TrainingError(f"unknown source {name!r}; one of {', '.join(SOURCES)}")
    if not folder.is_dir():
        raise TrainingError(f"{folder} is not a folder")
    if labels is not None:
        if name != "ptbxl":
            raise TrainingError(f"label groups are for ptbxl, not for {name}")
        return open_ptbxl(folder, labels)
    return SOURCES[name](folder)


def find_source(folder: Path) -> str:
    """The name of the source whose files a folder holds.

    Raises:
        TrainingError: no such folder, or none that is known.
    """
    if not folder.is_dir():
        raise TrainingError(f"{folder} is not a folder")
    if (folder / "ptbxl_database.csv").exists():
        return "ptbxl"
    if (folder / "labels.csv").exists():
        return "wfdb-folder"
    if (folder / "exams.csv").exists():
        return "code15"
    if next(folder.rglob("*.hea"), None):
        return "challenge"
    raise TrainingError(f"{folder} holds no database that is known; name one of {', '.join(SOURCES)} with --source")
