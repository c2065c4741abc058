"""What a bundle says of the labelled records of a split: logits beside labels, from any folder of labelled records."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from model.bundle import Bundle
from model.engine import Engine
from model.reading.statements import KINDS
from model.signal.spec import InputSpec
from training.data.cutting import Cut, Purpose, cut_records
from training.data.dataset import hash_lines, is_prepared, read_prepared
from training.errors import TrainingError
from training.sources import find_source, open_source
from training.sources.catalogue import SPLITS, label_matrix

EVERY = "all"
Windows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Selection:
    """Which records to score.

    Attributes:
        data: a folder that `prepare` wrote, or a database as published.
        split: of its records; `all` for every one, as of a database that no model was trained on.
        source: which database; None finds it by its files.
        leads: the leads that the network may see, the others zeroed; empty for all.
        processes: how many records of a database are read at a time.
        seen: databases that the bundle learned from; another one without splits of its own is then taken whole,
            whatever the split. None keeps to the split.
    """

    data: Path
    split: str
    source: str | None = None
    leads: tuple[str, ...] = ()
    processes: int = 2
    seen: frozenset[str] | None = None


@dataclass(frozen=True, eq=False)
class Labelled:
    """The labelled records of a split, R records and C statements.

    Attributes:
        source: the database.
        split: that was taken.
        records: the R ids in the source.
        keys: the statements of a bundle in its order, then those that it answers through their kinds.
        labels: int8 (R, C): 1 present, 0 absent, -1 unknown.
        patients: (R,) ids; empty where unknown.
        ages: (R,) years; NaN where unknown.
        sexes: (R,) of `female`, `male`, empty.
    """

    source: str
    split: str
    records: tuple[str, ...]
    keys: tuple[str, ...]
    labels: npt.NDArray[np.int8]
    patients: npt.NDArray[np.str_]
    ages: npt.NDArray[np.float32]
    sexes: npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Scored:
    """Labelled records with what a bundle says of them.

    Attributes:
        labelled: the records.
        logits: float64 (R, statement of the bundle), windows of a record averaged.
        data_sha256: of the records' samples.
        unusable: ids of records that were left out, with the reason.
    """

    labelled: Labelled
    logits: npt.NDArray[np.float64]
    data_sha256: str
    unusable: tuple[tuple[str, str], ...] = ()


def score(bundle: Bundle, engine: Engine, selection: Selection, *, batch_size: int = 32) -> Scored:
    """Logits of every record of a split.

    A split that a database's publisher drew is never filtered. In a database taken whole, or without splits of its
    own, a record that cannot be used is left out and named.

    Raises:
        TrainingError: an unusable folder, a prepared one for another input, no record in the split, an unknown lead.
        EngineError: the network cannot run.
    """
    if selection.split not in (*SPLITS, EVERY):
        raise TrainingError(f"unknown split {selection.split!r}; one of {', '.join((*SPLITS, EVERY))}")
    spec = bundle.manifest.spec
    kept = _kept_leads(selection.leads, spec)
    keys = tuple(statement.key for statement in bundle.statements)
    keys += tuple(general for general, kinds in KINDS.items() if general not in keys and kinds & set(keys))
    read = _read_prepared if is_prepared(selection.data) else _read_source
    labelled, cuts = read(selection, keys, spec)
    if not labelled.records:
        raise TrainingError(f"{selection.data} has no record in the split {selection.split}")
    logits = np.zeros((len(labelled.records), len(bundle.statements)))
    seen: list[Cut] = []
    for rows, shares, windows in _batches(tqdm(cuts, "scoring", len(labelled.records), unit="ECG"), seen, batch_size):
        outputs = engine.run(windows * kept)
        np.add.at(logits, rows, outputs.logits * shares[:, None])
    return _readable(labelled, logits, seen)


def _readable(labelled: Labelled, logits: npt.NDArray[np.float64], cuts: list[Cut]) -> Scored:
    """The records that could be used, and the names of the others."""
    pairs = list(zip(labelled.records, cuts, strict=True))
    unusable = tuple((record, cut.reason) for record, cut in pairs if cut.reason)
    if len(unusable) == len(pairs):
        raise TrainingError(f"none of {len(pairs)} records can be used; {unusable[0][0]}: {unusable[0][1]}")
    digest = hash_lines(f"{record} {cut.sha256}" for record, cut in pairs if not cut.reason)
    return some_of(Scored(labelled, logits, digest, unusable), np.array([not cut.reason for cut in cuts]))


Cuts = Iterator[Cut]
"""Each record's cut, in order."""


def _read_prepared(selection: Selection, keys: tuple[str, ...], spec: InputSpec) -> tuple[Labelled, Cuts]:
    prepared = read_prepared(selection.data)
    if prepared.meta.get("spec_sha256") != spec.sha256():
        raise TrainingError(f"{selection.data} was prepared for another input than the bundle's; prepare it again")
    rows = np.flatnonzero((prepared.splits == selection.split) | (selection.split == EVERY))
    labelled = Labelled(
        source=str(prepared.meta["source"]),
        split=selection.split,
        keys=keys,
        records=tuple(prepared.records[row] for row in rows),
        labels=prepared.labels_of(keys)[rows],
        patients=prepared.patients[rows],
        ages=prepared.ages[rows],
        sexes=prepared.sexes[rows],
    )
    bounds = np.searchsorted(prepared.window_record, [rows, rows + 1])
    cuts = (
        Cut(prepared.windows[first:last].astype(np.float32), sha256=prepared.hashes[row])
        for row, first, last in zip(rows, *bounds, strict=True)
    )
    return labelled, cuts


def _read_source(selection: Selection, keys: tuple[str, ...], spec: InputSpec) -> tuple[Labelled, Cuts]:
    source = open_source(selection.source or find_source(selection.data), selection.data)
    foreign = selection.seen is not None and source.name not in selection.seen
    split = EVERY if foreign and not source.own_splits else selection.split
    entries = [entry for entry in source.entries if split in (entry.split, EVERY)]
    labelled = Labelled(
        source=source.name,
        split=split,
        keys=keys,
        records=tuple(entry.record for entry in entries),
        labels=label_matrix(entries, keys),
        patients=np.array([entry.patient for entry in entries], dtype=np.str_),
        ages=np.array([np.nan if entry.age is None else entry.age for entry in entries], dtype=np.float32),
        sexes=np.array([entry.sex for entry in entries], dtype=np.str_),
    )
    purpose: Purpose = "score" if source.own_splits and split != EVERY else "survey"
    return labelled, cut_records(source, entries, spec, processes=selection.processes, purpose=purpose)


Batch = tuple[npt.NDArray[np.intp], npt.NDArray[np.float64], Windows]


def _batches(cuts: Iterable[Cut], seen: list[Cut], batch_size: int) -> Iterator[Batch]:
    """Windows of several records at a time, with the row of each and its share in the record's mean.

    `seen` gets every cut without its windows.
    """
    held: list[tuple[int, float, Windows]] = []
    for row, cut in enumerate(cuts):
        seen.append(replace(cut, windows=cut.windows[:0]))
        held += [(row, 1 / len(cut.windows), window) for window in cut.windows]
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
    labelled = replace(
        old,
        records=tuple(record for record, kept in zip(old.records, keep, strict=True) if kept),
        labels=old.labels[keep],
        patients=old.patients[keep],
        ages=old.ages[keep],
        sexes=old.sexes[keep],
    )
    return replace(scored, labelled=labelled, logits=scored.logits[keep])
