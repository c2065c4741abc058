"""The model card of a bundle: what it was trained on, how long, its figures with intervals, and its limits."""

import json
import shutil
from pathlib import Path
from typing import Any

from model.bundle import Bundle, Manifest, read_bundle
from training.data.dataset import databases
from training.errors import TrainingError
from training.running.loop import LOG
from training.running.state import sources_of

CARD = "MODEL_CARD.md"
# further: a fine-tuning that went on from a whole network; second: a detail path of its own, merged with that.
STAGES = ("pretrain", "finetune", "further", "second", "waves")

HEADLINE = (
    ("super_auroc", "superclasses, macro AUROC"),
    ("statement_auroc", "statements, macro AUROC"),
    ("ece", "expected calibration error, calibrated"),
    ("ece_uncalibrated", "expected calibration error, before calibration"),
    ("conformal_worst", "conformal coverage at 90 %, worst superclass"),
    ("conformal_set_size", "labels in a conformal set, mean over superclasses (1 is always decided)"),
)

LIMITS = """\
Decision support, to be read by a clinician; not a medical device. It answers adult 12-lead ECGs at rest of {shortest:g}
s and more. {origin} It sees nothing above {lowpass:g} Hz: pacing spikes and late potentials are beyond it.
Discrimination travels between hospitals better than thresholds and calibration do: re-fit those with `python -m
training calibrate` on local records. A statement that stands in the vocabulary and not among the outputs had too few
examples, and its absence from an answer says nothing."""

# Who is in a database, where its publisher says so.
ORIGINS = {"ptbxl": "PTB-XL is one centre's recordings of 1989-1996."}
UNKNOWN_ORIGIN = "Whom the records of `{source}` stand for, only their owner can say."


def run(bundle: Path, runs: Path, *, note: str = "") -> dict[str, object]:
    """Write the card of a bundle, and put the logs of the runs that made it beside.

    Args:
        bundle: its folder, exported, calibrated and scored with `evaluate --into-bundle`.
        runs: folder of the runs that made it: `pretrain`, `finetune`, and `further` (a `finetune --whole`), `second`
            (merged with it) and `waves` where there were any.
        note: what a reader should know besides, such as what an ablation showed.

    Raises:
        BundleError: the bundle is damaged.
        TrainingError: it was not scored on a test split, or a log is missing.
    """
    opened = read_bundle(bundle)
    if "test" not in opened.manifest.metrics:
        raise TrainingError("the bundle was not scored on a test split; run `evaluate --into-bundle` first")
    logs = {stage: _read_log(runs / stage / LOG) for stage in STAGES if (runs / stage).is_dir()}
    if not logs:
        raise TrainingError(f"{runs} holds no run of {', '.join(STAGES)}")
    for stage in logs:
        shutil.copyfile(runs / stage / LOG, bundle / f"{stage}.jsonl")
    (bundle / CARD).write_text("\n".join(_lines(opened, logs, note)) + "\n", encoding="utf-8")
    return {"card": str(bundle / CARD), "logs": sorted(logs)}


def _read_log(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError):
        raise TrainingError(f"{path} is missing or no log") from None


def _lines(bundle: Bundle, logs: dict[str, list[dict[str, Any]]], note: str) -> list[str]:
    manifest = bundle.manifest
    return [
        f"# {manifest.name} {manifest.version}",
        "",
        *_made_of(manifest, logs),
        "",
        *([note, ""] if note else []),
        "## Figures",
        "",
        *_figures(manifest.metrics["test"]),
        "",
        "## Variants",
        "",
        "| variant | file | largest logit difference from torch |",
        "| --- | --- | --- |",
        *(f"| {name} | {one.file} | {one.parity:.1e} |" for name, one in manifest.variants.items()),
        "",
        "## Answers",
        "",
        ", ".join(f"{one.key} ({one.name})" for one in bundle.statements) + ".",
        "",
        "## Limits",
        "",
        _limits(manifest),
        "",
        "## Data and method",
        "",
        *(f"- {line}" for line in (*manifest.licences, *manifest.citations)),
    ]


def _made_of(manifest: Manifest, logs: dict[str, list[dict[str, Any]]]) -> list[str]:
    model, data = manifest.training["config"]["model"], manifest.data
    paths = model.get("detail_paths", 1) if model["detail"] else 0
    path = " beside a convolutional path over the raw window" if paths else ""
    path += f" ({paths} of them, trained apart)" if paths > 1 else ""
    attention = "Cross-Pattern Attention" if model.get("cropa", True) else "full attention"
    before = [source for source in sources_of(manifest) if source not in databases(data["source"])]
    began = f", having learned from {' and '.join(f'`{source}`' for source in before)} before" if before else ""
    waves = " A wave head in the same graph marks P, QRS and T in all 12 leads." if manifest.wave_leads else ""
    lines = [
        f"ECG-JEPA: {model['depth']} blocks of width {model['dim']} with {model['heads']} heads under "
        f"{attention}, pooled by attention{path}, one linear layer.{waves}",
        "",
        f"Trained on the train split of `{data['source']}` ({data['records']} records in all splits; data "
        f"`{data['data_sha256'][:12]}`, split `{data['split_sha256'][:12]}`){began}, calibrated on val (thresholds "
        f"`{manifest.thresholds_version}`), scored on test. The configuration is in `manifest.json`, the logs "
        "lie beside it.",
        "",
        "| stage | ECGs seen | minutes | ECG/s | last loss | val |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return lines + [_stage_row(stage, log) for stage, log in logs.items()]


def _limits(manifest: Manifest) -> str:
    """What a reader must not ask of the bundle; nothing is said of a database that is not known of it."""
    origins = [ORIGINS.get(one, UNKNOWN_ORIGIN.format(source=one)) for one in sources_of(manifest)]
    rates = " and ".join(f"{rate} Hz" for rate in manifest.data.get("sampling_hz", {}))
    origins += [f"The records that taught were sampled at {rates}."] if rates else []
    spec = manifest.spec
    return LIMITS.format(shortest=spec.min_duration_s, lowpass=spec.lowpass_hz, origin=" ".join(origins))


def _stage_row(stage: str, log: list[dict[str, Any]]) -> str:
    last = log[-1]
    seen = last["ecgs_per_s"] * last["minutes"] * 60
    best = {name: max(line.get(name, 0.0) for line in log) for name in ("probe_auroc", "super_auroc")}
    val = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in best.items() if value) or "-"
    return f"| {stage} | {seen:,.0f} | {last['minutes']:.0f} | {last['ecgs_per_s']} | {last['loss']:.4f} | {val} |"


def _figures(test: dict[str, Any]) -> list[str]:
    rows = [
        f"{test['n']} test records; intervals are 95 % bootstrap, which for a calibration error lies above its value.",
        "",
        "| figure | value | 95 % interval |",
        "| --- | --- | --- |",
    ]
    for key, name in HEADLINE:
        if test.get(key) is not None:
            low_high = test.get(f"{key}_interval")
            interval = f"{low_high[0]:.4f} to {low_high[1]:.4f}" if low_high else "-"
            rows.append(f"| {name} | {test[key]:.4f} | {interval} |")
    return rows
