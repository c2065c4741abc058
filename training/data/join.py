"""Several prepared folders as one, so that a network learns from several databases at once."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.reading.statements import VOCABULARY
from model.signal.spec import SPEC
from training.data.dataset import (
    DROPPED,
    INDEX,
    INDEX_COLUMNS,
    JOINED,
    LABELS,
    META,
    WINDOWS,
    PreparedSet,
    hash_lines,
    read_prepared,
)
from training.data.prepare import write_csv, write_header
from training.data.whole_folder import whole_folder
from training.errors import TrainingError
from training.sources.catalogue import SPLITS
from training.sources.tables import Row, read_table

DROPPED_COLUMNS = ("record", "split", "reason")
SLICE = 512  # windows copied at a time


def run(parts: list[Path], out: Path) -> dict[str, Any]:
    """Join prepared folders; the new one appears whole or not at all.

    Splits stay as they are. A statement that a database does not know is unknown in its records, and so masked. Records
    and patients are named `database/name`, since databases number theirs alike.

    Args:
        parts: folders that `prepare` wrote, each of another database.
        out: folder to write; must not exist yet.

    Returns:
        How many records and windows there are, by split.

    Raises:
        TrainingError: fewer than two folders, windows of another kind, a database or a record that is in two of them,
            or an existing folder.
        OSError: the disk is full or not writable; nothing is left behind.
    """
    sets = [read_prepared(part) for part in parts]
    _require_apart(sets)
    keys = _keys(sets)
    with whole_folder(out) as folder:
        _join_windows(folder / WINDOWS, sets)
        np.save(folder / LABELS, np.concatenate([one.labels_of(keys) for one in sets]))
        rows = list(_rows(sets))
        write_csv(folder / INDEX, INDEX_COLUMNS, ([row[name] for name in INDEX_COLUMNS] for row in rows))
        write_csv(folder / DROPPED, DROPPED_COLUMNS, _dropped(sets))
        meta = _meta(sets, rows, keys)
        (folder / META).write_text(json.dumps(meta, indent=2) + "\n")
    return {key: meta[key] for key in ("source", "records", "windows", "dropped", "splits")}


def _require_apart(sets: Sequence[PreparedSet]) -> None:
    """Raise TrainingError unless the folders are of several databases, of one kind of window, and share no record."""
    if len(sets) < 2:
        raise TrainingError("there is nothing to join: give two prepared folders or more")
    seen: dict[str, str] = {}
    for one in sets:
        if one.meta.get("spec_sha256") != sets[0].meta.get("spec_sha256"):
            raise TrainingError(f"{one.folder} holds windows of another kind than {sets[0].folder}; prepare it again")
        names = [*one.sources, *(sha256 for sha256 in one.hashes if sha256)]
        for name in names:
            if seen.setdefault(name, str(one.folder)) != str(one.folder):
                what = f"the database {name}" if name in one.sources else "a record with the same samples"
                raise TrainingError(f"{one.folder} and {seen[name]} both hold {what}")
    _require_ptbxl_once(sets)


def _require_ptbxl_once(sets: Sequence[PreparedSet]) -> None:
    """Raise TrainingError where PTB-XL stands beside itself: the challenge renamed its records, and split them anew."""
    databases = {name for one in sets for name in one.sources}
    for one in sets:
        renamed = [record for record in one.records if record.rpartition("/")[2].startswith("HR")]
        if {"ptbxl", "challenge"} <= databases and "challenge" in one.sources and renamed:
            raise TrainingError(f"{one.folder}: {renamed[0]} and {len(renamed) - 1} more are PTB-XL's own records")


def _keys(sets: Sequence[PreparedSet]) -> tuple[str, ...]:
    """Every statement that a database knows, in the order of the vocabulary, then label groups of a benchmark."""
    known = dict.fromkeys(key for one in sets for key in one.keys)
    return tuple(sorted(known, key=[*VOCABULARY, *known].index))


def _join_windows(path: Path, sets: Sequence[PreparedSet]) -> None:
    with path.open("wb") as file:
        write_header(file, sum(len(one.windows) for one in sets), SPEC)
        for one in sets:
            for start in range(0, len(one.windows), SLICE):
                file.write(one.windows[start : start + SLICE].tobytes())


def _rows(sets: Sequence[PreparedSet]) -> Iterator[Row]:
    """Lines of the index, in which windows count on from folder to folder."""
    before = 0
    for one in sets:
        for row in read_table(one.folder / INDEX, INDEX_COLUMNS):
            named = {name: _named(row[name], one) for name in ("record", "patient")}
            yield row | named | {"first_window": str(before + int(row["first_window"]))}
        before += len(one.windows)


def _dropped(sets: Sequence[PreparedSet]) -> Iterator[tuple[str, ...]]:
    for one in sets:
        for row in read_table(one.folder / DROPPED, DROPPED_COLUMNS):
            yield _named(row["record"], one), row["split"], row["reason"]


def _named(name: str, of: PreparedSet) -> str:
    """A record or patient of a database among those of others; what was joined before keeps its name."""
    return f"{of.sources[0]}/{name}" if name and len(of.sources) == 1 else name


def _meta(sets: Sequence[PreparedSet], rows: Sequence[Row], keys: tuple[str, ...]) -> dict[str, Any]:
    rates = Counter[str]()
    for one in sets:
        rates.update(one.meta.get("sampling_hz", {}))
    return {
        "source": JOINED.join(name for one in sets for name in one.sources),
        "spec": sets[0].meta["spec"],
        "spec_sha256": sets[0].meta["spec_sha256"],
        "records": len(rows),
        "windows": sum(len(one.windows) for one in sets),
        "sampling_hz": rates,
        "splits": {split: sum(row["split"] == split for row in rows) for split in SPLITS},
        "data_sha256": hash_lines(f"{row['record']} {row['sha256']}" for row in rows),
        "split_sha256": hash_lines(f"{row['record']} {row['split']}" for row in rows),
        "dropped": sum(int(one.meta.get("dropped", 0)) for one in sets),
        "keys": keys,
    }
