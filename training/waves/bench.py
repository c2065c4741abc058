"""The wave head beside neurokit2 on the same records: boundaries, intervals, time, and pictures to check by eye."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.bundle import read_bundle
from model.engine import OnnxEngine
from model.nn.waves import TwelveLeadHead, folded
from model.reading import second_opinion
from model.reading.delineation import WaveOutputs, delineate, twelve_leads
from model.reading.waves import Waves, behind_spikes
from model.signal.leads import STANDARD_LEADS
from model.signal.pacing import find_pacing_ms
from model.signal.preprocess import Windows, preprocess
from model.signal.recording import Recording
from model.signal.spec import SPEC
from training.errors import TrainingError
from training.sources.ludb import MarkedRecord, read_ludb
from training.waves.groups import GroupFigures, group_figures, sped_up, table_of_groups
from training.waves.metrics import (
    BoundaryFigures,
    IntervalFigures,
    boundary_figures,
    false_p_waves,
    global_gaps_ms,
    interval_figures,
)
from training.waves.pictures import write_picture
from training.waves.tachycardia import hurried_records
from training.waves.train import HEAD, fold_folder, folds, read_head

_HURRIED_BPM = ((90.0, 110.0), (110.0, 130.0), (130.0, 160.0))  # judged by bands, with other draws than trained on

Method = Callable[[Recording], Waves]


@dataclass(frozen=True)
class MethodFigures:
    """One method on all records.

    Attributes:
        boundaries: by boundary.
        intervals: by interval.
        gaps_ms: of the global boundaries, found minus marked, medians over records.
        false_p: P waves found in each record without any, median over leads.
        ms_per_record: processor time on one core, from the recording to its waves.
    """

    boundaries: dict[str, BoundaryFigures]
    intervals: dict[str, IntervalFigures]
    gaps_ms: dict[str, float]
    false_p: list[float]
    ms_per_record: float


def run(
    data: Path,
    *,
    out: Path,
    waves: Path | None = None,
    bundle: Path | None = None,
    pictures: int = 6,
    classical: int = 0,
) -> dict[str, Any]:
    """Compare the wave head with neurokit2; `out` gets report.json, report.md and pictures.

    Args:
        data: LUDB.
        out: folder to write.
        waves: folder of a cross-validated run: each record is judged by the head that never saw it.
        bundle: judged as it is served, encoder included; a bundle that was trained on these records flatters itself.
        pictures: how many records are drawn.
        classical: how many records neurokit2 sees, evenly spread, since it is slow; 0 for all.

    Raises:
        TrainingError: neither `waves` nor `bundle`, or a run without folds.
        BundleError, EngineError: the bundle cannot be read or run.
    """
    records = list(read_ludb(data))
    ours = _ours(records, waves, bundle)
    out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, MethodFigures] = {}
    groups: dict[str, GroupFigures] = {}
    for name, by_record in ours.items():
        figures[name], found = _measured(records, by_record)
        for at in _spread(len(records), pictures) if len(figures) == 1 else ():
            write_picture(records[at], found[at], out / f"{records[at].name}.png")
        groups = groups or _by_group(records, by_record, found)
    some = [records[at] for at in _spread(len(records), classical or len(records))]
    for name, method in _classical().items():
        figures[f"{name}, {len(some)} records"], _ = _measured(some, [method] * len(some))
    body = {name: asdict(one) for name, one in figures.items()}
    body["groups"] = {name: asdict(one) for name, one in groups.items()}
    table = f"{table_of(figures)}\n{table_of_groups(groups)}"
    (out / "report.json").write_text(json.dumps(body, indent=2) + "\n")
    (out / "report.md").write_text(table, encoding="utf-8")
    sys.stdout.write(table)
    return {"records": len(records), "methods": list(figures)}


def _by_group(
    records: Sequence[MarkedRecord], methods: Sequence[Method], found: Sequence[Waves]
) -> dict[str, GroupFigures]:
    """Figures by rate and rhythm, and of the same records faster in two ways, since too few hearts beat fast there."""
    faster = [sped_up(record) for record in records]
    found_faster = [method(record.recording) for record, method in zip(faster, methods, strict=True)]
    made = hurried_records(records, _HURRIED_BPM, seed=1)
    found_made = [methods[at](record.recording) for at, record in made]
    figures = group_figures(records, found)
    for how, bands in (
        ("sped up", group_figures(faster, found_faster)),
        ("P upon T", group_figures([record for _, record in made], found_made)),
    ):
        figures |= {f"{how}, {name}": one for name, one in bands.items() if "/min" in name}
    return figures


def _spread(count: int, wanted: int) -> list[int]:
    """So many places, evenly from the first to the last."""
    return sorted({round(at) for at in np.linspace(0, count - 1, min(wanted, count)).tolist()})


def _classical() -> dict[str, Method]:
    return {
        "neurokit2 prominence": partial(second_opinion.delineate, method="prominence", whole=False),
        "neurokit2 dwt": partial(second_opinion.delineate, method="dwt", whole=False),
    }


def _ours(records: Sequence[MarkedRecord], waves: Path | None, bundle: Path | None) -> dict[str, Sequence[Method]]:
    methods: dict[str, Sequence[Method]] = {}
    if waves is not None:
        methods["wave head, held out"] = _held_out(len(records), waves)
    if bundle is not None:
        methods["bundle"] = [served(bundle)] * len(records)
    if not methods:
        raise TrainingError("give a cross-validated run of `waves`, a bundle, or both")
    return methods


def _held_out(count: int, run_folder: Path) -> Sequence[Method]:
    """For each record the head of the fold that did without it."""
    by_record: list[Method | None] = [None] * count
    for fold, (_, kept) in enumerate(folds(count)):
        head = TwelveLeadHead(folded(read_head(fold_folder(run_folder, fold) / HEAD)))
        for row in kept.tolist():
            by_record[row] = partial(delineate_with, head)
    return [method for method in by_record if method is not None]


def delineate_with(head: TwelveLeadHead, recording: Recording) -> Waves:
    """Waves of a recording by a head without an encoder."""
    windows = preprocess(recording, SPEC)
    with torch.inference_mode():
        said = head(torch.from_numpy(windows.signal_mv))
    return waves_of(WaveOutputs(*(part.numpy() for part in said)), windows, recording)


def waves_of(outputs: WaveOutputs, windows: Windows, recording: Recording) -> Waves:
    """Waves in the twelve standard leads from the outputs of a recording's windows, as `model.reader` finds them."""
    waves = delineate(
        outputs,
        twelve_leads(windows.signal_mv, windows.dead_leads),
        STANDARD_LEADS,
        starts_s=windows.starts_s,
        sampling_hz=SPEC.sampling_hz,
        duration_s=recording.duration_s,
    )
    return behind_spikes(waves, find_pacing_ms(recording))


def served(bundle: Path) -> Method:
    """Waves of a recording by a bundle, encoder included."""
    engine = OnnxEngine(read_bundle(bundle), device="cpu", threads=1)

    def method(recording: Recording) -> Waves:
        windows = preprocess(recording, SPEC)
        return waves_of(WaveOutputs.of(engine.run(windows.signal_mv).waves), windows, recording)

    return method


def _measured(records: Sequence[MarkedRecord], methods: Sequence[Method]) -> tuple[MethodFigures, list[Waves]]:
    methods[0](records[0].recording)  # imports and caches are not the method's time
    before_s = time.process_time()
    found = [method(record.recording) for record, method in zip(records, methods, strict=True)]
    seconds = time.process_time() - before_s
    figures = MethodFigures(
        boundaries=boundary_figures(records, found),
        intervals=interval_figures(records, found),
        gaps_ms=global_gaps_ms(records, found),
        false_p=false_p_waves(records, found),
        ms_per_record=1000.0 * seconds / len(records),
    )
    return figures, found


def table_of(figures: dict[str, MethodFigures]) -> str:
    """The figures side by side, as Markdown."""
    rows = [["", *figures], ["---"] * (len(figures) + 1)]
    for name in next(iter(figures.values())).boundaries:
        parts = [one.boundaries[name] for one in figures.values()]
        rows.append(
            [f"{name}: F1 %, ms", *(f"{part.f1:.1f}, {part.bias_ms:+.1f} ± {part.sd_ms:.1f}" for part in parts)]
        )
    for name in next(iter(figures.values())).intervals:
        measured = [one.intervals[name] for one in figures.values()]
        unit = "bpm" if name == "HR" else "ms"
        rows.append(
            [
                f"{name}: MAE, {unit}",
                *(f"{part.mae:.1f}, {part.bias:+.1f} ± {part.sd:.1f} ({part.missing} missing)" for part in measured),
            ]
        )
    rows.extend(
        [f"{name}, global: ms", *(f"{one.gaps_ms[name]:+.1f}" for one in figures.values())]
        for name in next(iter(figures.values())).gaps_ms
    )
    rows.append(
        [
            "P in a record without P",
            *(f"{np.mean(one.false_p):.1f}" if one.false_p else "-" for one in figures.values()),
        ]
    )
    rows.append(["ms per record", *(f"{one.ms_per_record:.0f}" for one in figures.values())])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
