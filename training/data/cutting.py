"""A source's records to windows, as the service would cut them, in other processes where asked."""

import hashlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from model.errors import EcgError
from model.signal.preprocess import preprocess, select_leads
from model.signal.quality import check_quality
from model.signal.recording import Recording
from model.signal.spec import InputSpec
from training.errors import TrainingError
from training.sources.catalogue import Entry, Source

IMPOSSIBLE_MV = 10.0  # further than this from a lead's median is no heart; 20 train records of PTB-XL have it
FLAT_START_S = 1.0  # every lead constant for this long from the first sample: recorded before the electrodes were on


@dataclass(frozen=True, eq=False)
class Cut:
    """One record's windows, or why there are none.

    Attributes:
        windows: float32 (window, lead, sample), mV; empty when the record cannot be used.
        reason: why it cannot be used; empty otherwise.
        sampling_hz: as recorded.
        leads: as recorded.
        dead_leads: masked leads of the model.
        sha256: of the record's file of samples, or of the samples.
    """

    windows: npt.NDArray[np.float32]
    reason: str = ""
    sampling_hz: float = 0.0
    leads: tuple[str, ...] = ()
    dead_leads: tuple[str, ...] = ()
    sha256: str = ""


Purpose = Literal["train", "score", "survey"]


def cut_records(
    source: Source, entries: Sequence[Entry], spec: InputSpec, *, processes: int, purpose: Purpose = "train"
) -> Iterator[Cut]:
    """Every entry's cut, in order; one that cannot be used is empty and says why.

    Args:
        source: where the entries are from.
        entries: records to cut.
        spec: what a network takes.
        processes: how many cut at a time; 1 stays in this process.
        purpose: to `train`, records of the train split keep to rules and those of the test split may not be missing;
            to `score` a model none may be missing; a `survey` takes what can be read.

    Raises:
        TrainingError: a record that may not be missing cannot be used: a split with holes is another split.
    """
    jobs = [(source.read, entry, spec, purpose == "train" and entry.split == "train") for entry in entries]
    for entry, cut in zip(entries, _run(jobs, processes), strict=True):
        needed = purpose == "score" or (purpose == "train" and entry.split == "test")
        if cut.reason and needed:
            detail = f"{entry.split} record {entry.record} cannot be used ({cut.reason})"
            raise TrainingError(f"{detail}; a split that a model is scored on is never filtered")
        yield cut


Job = tuple[Callable[[Entry], Recording], Entry, InputSpec, bool]


def _run(jobs: list[Job], processes: int) -> Iterator[Cut]:
    if processes <= 1:
        yield from map(_cut_job, jobs)
        return
    # Spawned, not forked: a parent that has loaded torch or onnxruntime has threads, and a fork of those can hang.
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawned, initializer=_leave_interrupts) as pool:
        try:
            yield from pool.map(_cut_job, jobs, chunksize=32)
        finally:
            pool.shutdown(cancel_futures=True)


def _leave_interrupts() -> None:
    """What is typed at a terminal reaches every process; the first one answers it, in one line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _cut_job(job: Job) -> Cut:
    read, entry, spec, ruled = job
    return cut_record(read, entry, spec, ruled=ruled)


def cut_record(read: Callable[[Entry], Recording], entry: Entry, spec: InputSpec, *, ruled: bool) -> Cut:
    """The windows of one record, or why it cannot be used; `ruled` also refuses what must not be learned from."""
    try:
        recording = read(entry)
        rule = broken_rule(recording, spec) if ruled else ""
        windows = preprocess(recording, spec, dead_leads=check_quality(recording).dead_leads)
        digest = _sha256(entry, recording)
    except EcgError as error:
        return _unusable(error.code, spec)
    except (OSError, ValueError, LookupError) as error:  # what readers of damaged files raise
        return _unusable(f"unreadable: {type(error).__name__}", spec)
    if rule:
        return _unusable(rule, spec)
    return Cut(windows.signal_mv, "", recording.sampling_hz, recording.leads, windows.dead_leads, digest)


def _sha256(entry: Entry, recording: Recording) -> str:
    if entry.signal_file is None:
        return hashlib.sha256(recording.signal_mv.tobytes()).hexdigest()
    with entry.signal_file.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unusable(reason: str, spec: InputSpec) -> Cut:
    return Cut(np.empty((0, len(spec.leads), spec.samples), dtype=np.float32), reason)


def broken_rule(recording: Recording, spec: InputSpec) -> str:
    """The first rule that a training record breaks, or an empty string; NaN is refused by Recording itself."""
    signal_mv = select_leads(recording, spec.leads)
    if (np.abs(signal_mv - np.median(signal_mv, axis=1, keepdims=True)) > IMPOSSIBLE_MV).any():
        return "impossible_amplitude"
    start = signal_mv[:, : round(FLAT_START_S * recording.sampling_hz)]
    return "" if np.ptp(start, axis=1).any() else "flat_start"
