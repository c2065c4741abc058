"""What every source gives: its records with what is known of each, and how a signal is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from model.files import read_record
from model.reading.statements import VOCABULARY
from model.signal.recording import Recording
from training.errors import TrainingError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Entry:
    """One record of a source, before its signal is read.

    Attributes:
        record: the source's own id.
        path: the file that the record is read from: a WFDB header, or a file of many records.
        signal_file: the file with this record's samples alone, whose hash identifies it; None hashes the samples.
        split: train, val or test.
        present: keys of the statements that hold.
        known: keys about which the source says yes or no; the others are unknown.
        patient: the source's own id; empty where unknown.
        age: years; None where unknown.
        sex: `female`, `male` or empty where unknown.
    """

    record: str
    path: Path
    signal_file: Path | None
    split: Split
    present: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()
    patient: str = ""
    age: float | None = None
    sex: str = ""


@dataclass(frozen=True)
class Source:
    """A database on disk.

    Attributes:
        name: as in the registry of sources.
        keys: statements that it may know of, in the order of the vocabulary.
        entries: its records.
        read: the signal of an entry; a module's own function, so that other processes can call it.
        own_splits: whether its splits are its publisher's; otherwise they were drawn here, by patient or record.
    """

    name: str
    keys: tuple[str, ...]
    entries: tuple[Entry, ...]
    read: Callable[[Entry], Recording]
    own_splits: bool = True


def read_wfdb(entry: Entry) -> Recording:
    """The signal of an entry whose path is a WFDB header."""
    return read_record(entry.path)


def label_matrix(entries: Sequence[Entry], keys: Sequence[str]) -> npt.NDArray[np.int8]:
    """Labels as int8 (record, statement): 1 present, 0 absent, -1 unknown."""
    labels = np.full((len(entries), len(keys)), -1, dtype=np.int8)
    for row, entry in enumerate(entries):
        for column, key in enumerate(keys):
            if key in entry.known:
                labels[row, column] = key in entry.present
    return labels


def split_by_patient(patient: str, *, val: float = 0.1, test: float = 0.1) -> Split:
    """A split that depends on the patient alone: the same on every machine, in every order, for ever."""
    draw = int.from_bytes(sha256(patient.encode()).digest()[:8]) / 2**64
    if draw < test:
        return "test"
    return "val" if draw < test + val else "train"


def require_keys(keys: frozenset[str], table: Path) -> None:
    """Raise TrainingError for a statement that is not in the vocabulary."""
    if unknown := sorted(keys - VOCABULARY.keys()):
        raise TrainingError(f"{table}: unknown statement {unknown[0]!r}; known are {', '.join(VOCABULARY)}")


def require_patients_apart(entries: Sequence[Entry], table: Path) -> None:
    """Raise TrainingError where a patient is in two splits; the record is named, not the patient."""
    splits: dict[str, Split] = {}
    for entry in entries:
        if entry.patient and splits.setdefault(entry.patient, entry.split) != entry.split:
            also = splits[entry.patient]
            raise TrainingError(f"{table}: the patient of record {entry.record!r} is also in the split {also}")


def require_split(split: str, table: Path) -> Split:
    """The split as it is named in a table, or TrainingError."""
    for known in SPLITS:
        if split == known:
            return known
    raise TrainingError(f"{table}: unknown split {split!r}; one of {', '.join(SPLITS)}")
