"""Scores a bundle on labelled records from its ONNX file, and writes figures, a table and plots."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from model.bundle import Bundle, read_bundle, write_manifest
from model.engine import OnnxEngine
from training.config import Config, EvaluateConfig
from training.data.dataset import databases
from training.evaluation.figures import Answers, Figures, GroupFigures, answers_of, build_figures, one_of_superclasses
from training.evaluation.plots import write_plots
from training.evaluation.report import Report, write_table
from training.evaluation.scoring import Scored, Selection, score, some_of
from training.running.state import sources_of


def run(
    config: Config, bundle: Path, data: Path, *, out: Path | None, split: str, source: str | None
) -> dict[str, Any]:
    """Score a bundle on a split; `out`, if there is one, gets report.json, report.md and plots.

    Returns:
        The headline figures, at least `super_auroc`, `statement_auroc`, `ece` and `n`, what they rest on, and the
        AUROC of every statement that has one.

    Raises:
        BundleError, EngineError: the bundle cannot be read or run.
        TrainingError: the records cannot be used.
    """
    settings = config.evaluate
    opened = read_bundle(bundle)
    engine = OnnxEngine(
        opened, variant=settings.variant or None, device=settings.device, threads=max(1, os.cpu_count() or 1)
    )
    selection = Selection(data, split, source, settings.leads, settings.processes, _seen(opened))
    scored = score(opened, engine, selection, batch_size=settings.batch_size)
    answers, scored = _answers(opened, scored, settings)
    figures = build_figures(answers, scored, settings)
    about = _about(opened, engine, scored) | {"protocol": settings.protocol, "leads": list(settings.leads)}
    report = Report(_headline(figures) | about, figures, answers, scored.unusable)
    if out is not None:
        _write(report, settings, out)
    if settings.into_bundle:
        metrics = opened.manifest.metrics | {scored.labelled.split: report.headline}
        write_manifest(bundle, replace(opened.manifest, metrics=metrics))
    return report.headline | {"auroc": _by_statement(figures)}


def _seen(bundle: Bundle) -> frozenset[str]:
    """The databases that weights and thresholds were fitted on."""
    manifest = bundle.manifest
    return frozenset({*sources_of(manifest), *databases(manifest.metrics.get("calibration", {}).get("source", ""))})


def _write(report: Report, settings: EvaluateConfig, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    body = {"headline": report.headline, "settings": asdict(settings), "unusable": report.unusable}
    (out / "report.json").write_text(json.dumps(body | asdict(report.figures), indent=2) + "\n")
    write_table(report, out / "report.md")
    write_plots(report, out)


def _by_statement(figures: Figures) -> dict[str, float]:
    values = {one.key: one.figures["auroc"].value for one in figures.statements}
    return {key: round(value, 4) for key, value in values.items() if value is not None}


def _answers(bundle: Bundle, scored: Scored, settings: EvaluateConfig) -> tuple[Answers, Scored]:
    """What is scored under the protocol, and the records that it is about."""
    answers = answers_of(bundle, scored)
    if settings.protocol == "multi-label":
        return answers, scored
    answers, kept = one_of_superclasses(answers)
    return answers, some_of(scored, kept)


def _about(bundle: Bundle, engine: OnnxEngine, scored: Scored) -> dict[str, Any]:
    return {
        "bundle": f"{bundle.manifest.name} {bundle.manifest.version}",
        "bundle_sha256": bundle.sha256,
        "variant": engine.variant,
        "device": engine.device,
        "thresholds": bundle.manifest.thresholds_version,
        "source": scored.labelled.source,
        "split": scored.labelled.split,
        "unusable": len(scored.unusable),
        "data_sha256": scored.data_sha256,
    }


def _headline(figures: Figures) -> dict[str, Any]:
    """The figures that a bundle is judged by; null where the records do not give them."""
    groups = {group.name: group for group in figures.groups}
    superclass, statement = groups["superclass"], groups["statement"]
    covered = [
        one.figures[label].value
        for one in figures.statements
        if one.group == "superclass"
        for label in ("coverage", "coverage_absent")
    ]
    return {
        **_pair("super_auroc", superclass, "auroc"),
        **_pair("statement_auroc", statement, "auroc"),
        **_pair("ece", superclass, "ece"),
        **_pair("ece_uncalibrated", superclass, "ece_uncalibrated"),
        "conformal_worst": min((one for one in covered if one is not None), default=None),
        "conformal_set_size": superclass.figures["set_size"].value,
        "further_auroc": groups["further"].figures["auroc"].value,
        "n": figures.n,
        "n_superclass": superclass.n,
        "n_statement": statement.n,
        "statements": statement.statements,
    }


def _pair(name: str, group: GroupFigures, figure: str) -> dict[str, Any]:
    value = group.figures[figure]
    return {name: value.value, f"{name}_interval": None if value.low is None else [value.low, value.high]}
