"""A prepared folder as training and evaluation see it: windows on disk, labels and who is in which split."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.reading.statements import VOCABULARY, Statement
from training.errors import TrainingError
from training.sources.catalogue import Split
from training.sources.tables import Row, read_number, read_table

WINDOWS = "windows.npy"
LABELS = "labels.npy"
INDEX = "index.csv"
DROPPED = "dropped.csv"
META = "meta.json"
JOINED = " + "
INDEX_COLUMNS = (
    *("record", "source", "split", "patient", "age", "sex", "sampling_hz", "leads"),
    *("first_window", "windows", "sha256", "dead_leads"),
)


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """Records that are ready for a network; R records, W windows, C statements.

    Attributes:
        folder: where they lie.
        windows: float16 (W, lead, sample), mV, memory-mapped, the windows of a record one after another.
        window_record: int32 (W,), the row of the record that a window belongs to.
        labels: int8 (R, C): 1 present, 0 absent, -1 unknown, never to be taken as absent.
        keys: the C statements.
        records: the R ids in the source.
        hashes: (R,) SHA-256 of each record's samples on disk.
        splits: (R,) of `train`, `val`, `test`.
        patients: (R,) ids; empty where unknown.
        ages: float32 (R,) years; NaN where unknown.
        sexes: (R,) of `female`, `male`, empty.
        meta: the source, spec and hashes, as written.
    """

    folder: Path
    windows: npt.NDArray[np.float16]
    window_record: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int8]
    keys: tuple[str, ...]
    records: tuple[str, ...]
    hashes: tuple[str, ...]
    splits: npt.NDArray[np.str_]
    patients: npt.NDArray[np.str_]
    ages: npt.NDArray[np.float32]
    sexes: npt.NDArray[np.str_]
    meta: dict[str, Any]

    @property
    def sources(self) -> tuple[str, ...]:
        """The databases that these are of; several in a folder that `join` wrote."""
        return databases(str(self.meta.get("source", "")))

    @property
    def identity(self) -> str:
        """What a run depends on: samples, splits and labels."""
        hashes = (str(self.meta.get(name, "")) for name in ("data_sha256", "split_sha256"))
        return hash_lines([*hashes, *self.keys, self.labels.tobytes().hex()])

    def require_identity(self, identity: str | None) -> None:
        """Raise ValueError if a run was on other data; None, as in checkpoints that do not say, is taken for these."""
        if identity not in (None, self.identity):
            raise ValueError("other data")

    def rows(self, split: Split) -> npt.NDArray[np.intp]:
        """Rows of the records of a split."""
        return np.flatnonzero(self.splits == split)

    def window_rows(self, split: Split) -> npt.NDArray[np.intp]:
        """Rows of the windows of a split."""
        return np.flatnonzero((self.splits == split)[self.window_record])

    def some_rows(self, split: Split, share: float, seed: int) -> npt.NDArray[np.intp]:
        """Rows of a share of a split's patients, at least one; records of unknown patients are drawn one by one.

        With the same seed a smaller share is part of a larger one.
        """
        rows = self.rows(split)
        if not len(rows):
            return rows
        clusters = cluster_numbers(list(self.patients[rows]))
        order = np.random.default_rng(seed).permutation(int(clusters.max()) + 1)
        return rows[np.isin(clusters, order[: max(1, round(share * len(order)))])]

    def trainable_keys(self, *, minimum: int = 20) -> tuple[str, ...]:
        """Statements with enough positives in the train split to be an output."""
        positives = (self.labels[self.rows("train")] == 1).sum(axis=0)
        return tuple(key for key, count in zip(self.keys, positives, strict=True) if count >= minimum)

    def labels_of(self, keys: tuple[str, ...]) -> npt.NDArray[np.int8]:
        """Labels (R, key) in another order of statements; a statement that this set does not know is unknown."""
        labels = np.full((len(self.records), len(keys)), -1, dtype=np.int8)
        for column, key in enumerate(keys):
            if key in self.keys:
                labels[:, column] = self.labels[:, self.keys.index(key)]
        return labels


def databases(source: str) -> tuple[str, ...]:
    """The databases that a source names."""
    return tuple(source.split(JOINED))


def statement_of(key: str) -> Statement:
    """The statement of a key; a key of a benchmark's label group is a statement without a SNOMED CT code."""
    return VOCABULARY.get(key, Statement(key, key, "statement", None))


def hash_lines(lines: Iterable[str]) -> str:
    """SHA-256 of lines in any order; identifies data (record and hash) and splits (record and split)."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def is_prepared(folder: Path) -> bool:
    """Whether a folder was written by `prepare`."""
    return (folder / META).is_file() and (folder / WINDOWS).is_file()


def read_prepared(folder: Path) -> PreparedSet:
    """A folder that `prepare` wrote.

    Raises:
        TrainingError: it is not one, or its files do not belong together.
    """
    if not is_prepared(folder):
        raise TrainingError(f"{folder} is not a prepared folder; write one with `python -m training prepare`")
    rows = read_table(folder / INDEX, INDEX_COLUMNS)
    try:
        meta = json.loads((folder / META).read_text())
        windows = np.load(folder / WINDOWS, mmap_mode="r")
        labels = np.load(folder / LABELS)
        counts = np.array([int(row["windows"]) for row in rows])
        keys = tuple(meta["keys"])
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{folder} is damaged: {type(error).__name__}; prepare it again") from None
    if labels.shape != (len(rows), len(keys)) or len(windows) != counts.sum():
        raise TrainingError(f"{folder}: index, labels and windows do not belong together; prepare it again")
    return PreparedSet(
        folder=folder,
        windows=windows,
        window_record=np.repeat(np.arange(len(rows), dtype=np.int32), counts),
        labels=labels,
        keys=keys,
        records=tuple(row["record"] for row in rows),
        hashes=tuple(row["sha256"] for row in rows),
        splits=_column(rows, "split"),
        patients=_column(rows, "patient"),
        ages=np.array([np.nan if (age := read_number(row["age"])) is None else age for row in rows], dtype=np.float32),
        sexes=_column(rows, "sex"),
        meta=meta,
    )


def _column(rows: list[Row], name: str) -> npt.NDArray[np.str_]:
    return np.array([row[name] for row in rows])


def cluster_numbers(patients: Sequence[str]) -> npt.NDArray[np.intp]:
    """Clusters to draw: a patient's records together; a record of an unknown patient on its own."""
    names = [patient or f" {row}" for row, patient in enumerate(patients)]
    return np.unique(names, return_inverse=True)[1].astype(np.intp)
