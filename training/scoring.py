"""What a bundle says of the labelled records of a split: logits beside labels, from any folder of labelled records."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from model.bundle import Bundle
from model.engine import Engine
from model.signal.spec import InputSpec
from training.cutting import cut_records
from training.dataset import hash_lines, is_prepared, read_prepared
from training.errors import TrainingError
from training.sources import find_source, open_source
from training.sources.catalogue import SPLITS, label_matrix

EVERY = "all"
Windows = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Selection:
    """Which records to score.

    Attributes:
        data: a folder that `prepare` wrote, or a database as published.
        split: of its records; `all` for every one, as of a database that no model was trained on.
        source: which database; None finds it by its files.
        leads: the leads that the network may see, the others zeroed; empty for all.
        processes: how many records of a database are read at a time.
    """

    data: Path
    split: str
    source: str | None = None
    leads: tuple[str, ...] = ()
    processes: int = 2


@dataclass(frozen=True, eq=False)
class Labelled:
    """The labelled records of a split, R records and the C statements of a bundle.

    Attributes:
        source: the database.
        records: the R ids in the source.
        labels: int8 (R, C): 1 present, 0 absent, -1 unknown.
        patients: (R,) ids; empty where unknown.
        ages: (R,) years; NaN where unknown.
        sexes: (R,) of `female`, `male`, empty.
    """

    source: str
    records: tuple[str, ...]
    labels: npt.NDArray[np.int8]
    patients: npt.NDArray[np.str_]
    ages: npt.NDArray[np.float32]
    sexes: npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Scored:
    """Labelled records with what a bundle says of them.

    Attributes:
        labelled: the records.
        logits: float64 (R, C), windows of a record averaged.
        data_sha256: of the records' samples.
    """

    labelled: Labelled
    logits: npt.NDArray[np.float64]
    data_sha256: str


def score(bundle: Bundle, engine: Engine, selection: Selection, *, batch_size: int = 32) -> Scored:
    """Logits of every record of a split; none is left out.

    Raises:
        TrainingError: an unusable folder, a prepared one for another input, no record in the split, an unknown lead.
        EngineError: the network cannot run.
    """
    if selection.split not in (*SPLITS, EVERY):
        raise TrainingError(f"unknown split {selection.split!r}; one of {', '.join((*SPLITS, EVERY))}")
    spec = bundle.manifest.spec
    kept = _kept_leads(selection.leads, spec)
    keys = tuple(statement.key for statement in bundle.statements)
    read = _read_prepared if is_prepared(selection.data) else _read_source
    labelled, cuts = read(selection, keys, spec)
    if not labelled.records:
        raise TrainingError(f"{selection.data} has no record in the split {selection.split}")
    logits = np.zeros(labelled.labels.shape)
    hashes: list[str] = []
    for rows, shares, windows in _batches(tqdm(cuts, "scoring", len(labelled.records), unit="ECG"), hashes, batch_size):
        outputs = engine.run(windows.astype(np.float32) * kept)
        np.add.at(logits, rows, outputs.logits * shares[:, None])
    lines = zip(labelled.records, hashes, strict=True)
    return Scored(labelled, logits, hash_lines(f"{record} {digest}" for record, digest in lines))


Cuts = Iterator[tuple[str, Windows]]
"""Hash and windows (window, lead, sample) of each record, in order."""


def _read_prepared(selection: Selection, keys: tuple[str, ...], spec: InputSpec) -> tuple[Labelled, Cuts]:
    prepared = read_prepared(selection.data)
    if prepared.meta.get("spec_sha256") != spec.sha256():
        raise TrainingError(f"{selection.data} was prepared for another input than the bundle's; prepare it again")
    rows = np.flatnonzero((prepared.splits == selection.split) | (selection.split == EVERY))
    labelled = Labelled(
        source=str(prepared.meta["source"]),
        records=tuple(prepared.records[row] for row in rows),
        labels=prepared.labels_of(keys)[rows],
        patients=prepared.patients[rows],
        ages=prepared.ages[rows],
        sexes=prepared.sexes[rows],
    )
    bounds = np.searchsorted(prepared.window_record, [rows, rows + 1])
    cuts = (
        (prepared.hashes[row], prepared.windows[first:last]) for row, first, last in zip(rows, *bounds, strict=True)
    )
    return labelled, cuts


def _read_source(selection: Selection, keys: tuple[str, ...], spec: InputSpec) -> tuple[Labelled, Cuts]:
    source = open_source(selection.source or find_source(selection.data), selection.data)
    entries = [entry for entry in source.entries if selection.split in (entry.split, EVERY)]
    labelled = Labelled(
        source=source.name,
        records=tuple(entry.record for entry in entries),
        labels=label_matrix(entries, keys),
        patients=np.array([entry.patient for entry in entries], dtype=np.str_),
        ages=np.array([np.nan if entry.age is None else entry.age for entry in entries], dtype=np.float32),
        sexes=np.array([entry.sex for entry in entries], dtype=np.str_),
    )
    cuts = cut_records(source, entries, spec, processes=selection.processes, strict=True)
    return labelled, ((cut.sha256, cut.windows) for cut in cuts)


Batch = tuple[npt.NDArray[np.intp], npt.NDArray[np.float64], Windows]


def _batches(cuts: Iterable[tuple[str, Windows]], hashes: list[str], batch_size: int) -> Iterator[Batch]:
    """Windows of several records at a time, with the row of each and its share in the record's mean."""
    held: list[tuple[int, float, Windows]] = []
    for row, (digest, windows) in enumerate(cuts):
        hashes.append(digest)
        held += [(row, 1 / len(windows), window) for window in windows]
        while len(held) >= batch_size:
            yield _batch(held[:batch_size])
            held = held[batch_size:]
    if held:
        yield _batch(held)


def _batch(held: list[tuple[int, float, Windows]]) -> Batch:
    rows, shares, windows = zip(*held, strict=True)
    return np.array(rows), np.array(shares), np.stack(windows)


def _kept_leads(leads: tuple[str, ...], spec: InputSpec) -> npt.NDArray[np.float32]:
    """One for a lead that the network may see, zero for another, (lead, 1)."""
    if unknown := [name for name in leads if name not in spec.leads]:
        raise TrainingError(f"the network has no lead {unknown[0]!r}; its leads are {', '.join(spec.leads)}")
    kept = [not leads or name in leads for name in spec.leads]
    return np.array(kept, dtype=np.float32)[:, None]


def some_of(scored: Scored, keep: npt.NDArray[np.bool_]) -> Scored:
    """The scored records that are kept."""
    old = scored.labelled
    labelled = Labelled(
        source=old.source,
        records=tuple(record for record, kept in zip(old.records, keep, strict=True) if kept),
        labels=old.labels[keep],
        patients=old.patients[keep],
        ages=old.ages[keep],
        sexes=old.sexes[keep],
    )
    return Scored(labelled, scored.logits[keep], scored.data_sha256)
