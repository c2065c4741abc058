"""Writes a source as a prepared folder: windows as the service cuts them, labels, index, what was dropped."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from model.signal.spec import SPEC, InputSpec
from training.data.cutting import Cut, cut_records
from training.data.dataset import DROPPED, INDEX, INDEX_COLUMNS, LABELS, META, WINDOWS, hash_lines
from training.data.whole_folder import whole_folder
from training.errors import TrainingError
from training.sources import open_source
from training.sources.catalogue import SPLITS, Entry, label_matrix

Kept = list[tuple[Entry, Cut, int]]
Dropped = list[tuple[Entry, str]]


def run(
    source: str, data: Path, out: Path, *, labels: str | None = None, processes: int = 2, spec: InputSpec = SPEC
) -> dict[str, Any]:
    """Prepare a source; the folder appears whole or not at all.

    Args:
        source: a name of the registry of sources.
        data: where the database lies.
        out: folder to write; must not exist yet.
        labels: a label group of a benchmark in place of the vocabulary.
        processes: how many cut records at a time; 1 stays in this process.
        spec: what a network takes.

    Returns:
        How many records, windows and dropped records there are, by split, and at which rates records were sampled.

    Raises:
        TrainingError: an unusable table, an existing folder, a test record that cannot be read, or no record at all.
        OSError: the disk is full or not writable; nothing is left behind.
    """
    with whole_folder(out) as folder:
        catalogue = open_source(source, data, labels)
        cuts = cut_records(catalogue, catalogue.entries, spec, processes=processes)
        progress = tqdm(zip(catalogue.entries, cuts, strict=True), source, len(catalogue.entries), unit="ECG")
        kept, dropped = _write_windows(folder / WINDOWS, progress, spec)
        if not kept:
            raise TrainingError(f"{data}: none of {len(dropped)} records could be used")
        keys = _write_labels(folder / LABELS, [entry for entry, *_ in kept], catalogue.keys)
        write_csv(folder / INDEX, INDEX_COLUMNS, _index_rows(catalogue.name, kept))
        write_csv(folder / DROPPED, ("record", "split", "reason"), [(e.record, e.split, why) for e, why in dropped])
        meta = _meta(catalogue.name, spec, kept) | {"dropped": len(dropped), "keys": keys}
        (folder / META).write_text(json.dumps(meta, indent=2) + "\n")
    return {key: meta[key] for key in ("source", "records", "windows", "dropped", "splits", "sampling_hz")}


def _write_windows(path: Path, cuts: Iterable[tuple[Entry, Cut]], spec: InputSpec) -> tuple[Kept, Dropped]:
    """Append windows to the file as they come; returns what was kept, with its count of windows, and what was not."""
    kept: Kept = []
    dropped: Dropped = []
    with path.open("wb") as file:
        write_header(file, 0, spec)
        for entry, cut in cuts:
            if cut.reason:
                dropped.append((entry, cut.reason))
                continue
            file.write(cut.windows.astype("<f2").tobytes())
            kept.append((entry, replace(cut, windows=cut.windows[:0]), len(cut.windows)))
        file.seek(0)
        write_header(file, sum(windows for *_, windows in kept), spec)
    return kept, dropped


def write_header(file: BinaryIO, windows: int, spec: InputSpec) -> None:
    """A .npy header; numpy leaves room for the first axis to grow, so that it can be written again in place."""
    shape = (windows, len(spec.leads), spec.samples)
    np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})


def _write_labels(path: Path, entries: list[Entry], keys: Sequence[str]) -> list[str]:
    """Write the labels of the statements that hold at least once; returns their keys."""
    labels = label_matrix(entries, keys)
    stated = (labels == 1).any(axis=0)
    np.save(path, labels[:, stated])
    return [key for key, keep in zip(keys, stated, strict=True) if keep]


def _index_rows(source: str, kept: Kept) -> Iterator[tuple[Any, ...]]:
    first = 0
    for entry, cut, count in kept:
        age = "" if entry.age is None else entry.age
        yield (
            *(entry.record, source, entry.split, entry.patient, age, entry.sex, cut.sampling_hz, "|".join(cut.leads)),
            *(first, count, cut.sha256, "|".join(cut.dead_leads)),
        )
        first += count


def _meta(source: str, spec: InputSpec, kept: Kept) -> dict[str, Any]:
    return {
        "source": source,
        "spec": asdict(spec),
        "spec_sha256": spec.sha256(),
        "records": len(kept),
        "windows": sum(windows for *_, windows in kept),
        "sampling_hz": Counter(f"{cut.sampling_hz:g}" for _, cut, _ in kept),
        "splits": {split: sum(entry.split == split for entry, *_ in kept) for split in SPLITS},
        "data_sha256": hash_lines(f"{entry.record} {cut.sha256}" for entry, cut, _ in kept),
        "split_sha256": hash_lines(f"{entry.record} {entry.split}" for entry, *_ in kept),
    }


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table with a header line."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
