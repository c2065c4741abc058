"""Writes a source as a prepared folder: windows as the service would cut them, labels, index, what was dropped."""

import csv
import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from model.errors import EcgError
from model.signal.preprocess import preprocess, select_leads
from model.signal.recording import Recording
from model.signal.spec import SPEC, InputSpec
from training.dataset import DROPPED, INDEX, INDEX_COLUMNS, LABELS, META, WINDOWS
from training.errors import TrainingError
from training.sources import open_source
from training.sources.catalogue import SPLITS, Entry, Source, label_matrix

IMPOSSIBLE_MV = 10.0  # further than this from a lead's median is no heart; 25 records of PTB-XL have it
FLAT_START_S = 1.0  # every lead constant for this long from the first sample: the recorder ran before the electrodes


@dataclass(frozen=True, eq=False)
class Cut:
    """One record's windows, or why there are none.

    Attributes:
        windows: float16 (window, lead, sample), mV; None when the record was dropped.
        reason: why it was dropped; empty otherwise.
        sampling_hz: as recorded.
        leads: as recorded.
        dead_leads: masked leads of the model.
        sha256: of the file with the samples.
    """

    windows: npt.NDArray[np.float16] | None
    reason: str = ""
    sampling_hz: float = 0.0
    leads: tuple[str, ...] = ()
    dead_leads: tuple[str, ...] = ()
    sha256: str = ""


def run(source: str, data: Path, out: Path, *, processes: int = 2, spec: InputSpec = SPEC) -> Path:
    """Prepare a source; the folder appears whole or not at all.

    Args:
        source: a name of the registry of sources.
        data: where the database lies.
        out: folder to write; must not exist yet.
        processes: how many cut records at a time; 1 stays in this process.
        spec: what a network takes.

    Returns:
        The folder.

    Raises:
        TrainingError: an unusable table, an existing folder, a test record that cannot be read, or no record at all.
        OSError: the disk is full or not writable; nothing is left behind.
    """
    catalogue = open_source(source, data)
    with _beside(out) as folder:
        cuts = _cut_all(catalogue, spec, processes)
        kept, dropped, windows = _write_windows(folder, zip(catalogue.entries, cuts, strict=True), spec)
        if not kept:
            raise TrainingError(f"{data}: no record of {len(dropped)} could be used; first: {dropped[0][1]}")
        entries = [entry for entry, _ in kept]
        labels = label_matrix(entries, catalogue.keys)
        stated = (labels == 1).any(axis=0)
        keys = [key for key, keep in zip(catalogue.keys, stated, strict=True) if keep]
        np.save(folder / LABELS, labels[:, stated])
        _write_csv(folder / INDEX, INDEX_COLUMNS, _index_rows(catalogue.name, kept))
        _write_csv(folder / DROPPED, ("record", "split", "reason"), [(e.record, e.split, why) for e, why in dropped])
        meta = _meta(catalogue.name, spec, keys, kept) | {"windows": windows, "dropped": len(dropped)}
        (folder / META).write_text(json.dumps(meta, indent=2) + "\n")
    return out


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` when the block ends well, and vanishes otherwise."""
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


def _cut_all(source: Source, spec: InputSpec, processes: int) -> Iterator[Cut]:
    """Every entry's cut, in order."""
    jobs = [(source.read, entry, spec) for entry in source.entries]
    if processes <= 1:
        yield from map(_cut_job, jobs)
        return
    # Spawned, not forked: a parent that has loaded torch or onnxruntime has threads, and a fork of those can hang.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from tqdm(pool.map(_cut_job, jobs, chunksize=32), total=len(jobs), desc=source.name, unit="ECG")


def _cut_job(job: tuple[Callable[[Path], Recording], Entry, InputSpec]) -> Cut:
    return cut_record(*job)


def cut_record(read: Callable[[Path], Recording], entry: Entry, spec: InputSpec) -> Cut:
    """The windows of one record; a record that cannot or must not be learned from gives the reason instead."""
    try:
        recording = read(entry.path)
        if entry.split == "train" and (rule := broken_rule(recording, spec)):
            return Cut(None, rule)
        windows = preprocess(recording, spec)
        with entry.signal_file.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except EcgError as error:
        return Cut(None, error.code)
    except (OSError, ValueError, IndexError) as error:  # what file readers raise on damaged files
        return Cut(None, f"unreadable:{type(error).__name__}")
    signal_mv = windows.signal_mv.astype(np.float16)
    return Cut(signal_mv, "", recording.sampling_hz, recording.leads, windows.dead_leads, digest)


def broken_rule(recording: Recording, spec: InputSpec) -> str:
    """The first rule that a training record breaks, or an empty string; NaN is refused by Recording itself."""
    signal_mv = select_leads(recording, spec.leads)
    if (np.abs(signal_mv - np.median(signal_mv, axis=1, keepdims=True)) > IMPOSSIBLE_MV).any():
        return "impossible_amplitude"
    start = signal_mv[:, : round(FLAT_START_S * recording.sampling_hz)]
    if not np.ptp(start, axis=1).any():
        return "flat_start"
    return ""


Kept = list[tuple[Entry, Cut]]
Dropped = list[tuple[Entry, str]]


def _write_windows(folder: Path, cuts: Iterable[tuple[Entry, Cut]], spec: InputSpec) -> tuple[Kept, Dropped, int]:
    """Append windows to the file as they come; returns the cuts without their windows, the dropped, the count."""
    kept: Kept = []
    dropped: Dropped = []
    count = 0
    with (folder / WINDOWS).open("wb") as file:
        _write_header(file, 0, spec)
        for entry, cut in cuts:
            if cut.windows is None:
                _require_not_test(entry, cut.reason)
                dropped.append((entry, cut.reason))
                continue
            file.write(np.ascontiguousarray(cut.windows).data)
            count += len(cut.windows)
            kept.append(
                (entry, Cut(cut.windows[:, :0, :0], "", cut.sampling_hz, cut.leads, cut.dead_leads, cut.sha256))
            )
        file.seek(0)
        _write_header(file, count, spec)
    return kept, dropped, count


def _write_header(file: BinaryIO, windows: int, spec: InputSpec) -> None:
    """A .npy header; numpy leaves room for the first axis to grow, so that it can be written again in place."""
    shape = (windows, len(spec.leads), spec.samples)
    np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})


def _require_not_test(entry: Entry, reason: str) -> None:
    """A test split with holes is another test split."""
    if entry.split == "test":
        raise TrainingError(f"test record {entry.record} cannot be used ({reason}); the test split is never filtered")


def _index_rows(source: str, kept: Kept) -> Iterator[tuple[Any, ...]]:
    first = 0
    for entry, cut in kept:
        count = 0 if cut.windows is None else len(cut.windows)
        age = "" if entry.age is None else entry.age
        yield (
            *(entry.record, source, entry.split, entry.patient, age, entry.sex, cut.sampling_hz, "|".join(cut.leads)),
            *(first, count, cut.sha256, "|".join(cut.dead_leads)),
        )
        first += count


def _meta(source: str, spec: InputSpec, keys: Sequence[str], kept: Kept) -> dict[str, Any]:
    return {
        "source": source,
        "spec": asdict(spec),
        "spec_sha256": spec.sha256(),
        "keys": list(keys),
        "records": len(kept),
        "splits": {split: sum(entry.split == split for entry, _ in kept) for split in SPLITS},
        "data_sha256": _hash_lines(f"{entry.record} {cut.sha256}" for entry, cut in kept),
        "split_sha256": _hash_lines(f"{entry.record} {entry.split}" for entry, _ in kept),
    }


def _hash_lines(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
