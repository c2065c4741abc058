"""Fits a bundle's probabilities and thresholds on labelled records, and writes them into its manifest.

Platt scaling per statement (Platt 1999, with his smoothed targets), the threshold of the best F1, and the bounds of
conformal prediction sets. A hospital runs this on records of its own to fit a bundle to its patients.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from model.bundle import Output, read_bundle, write_manifest
from model.engine import OnnxEngine
from model.reading.findings import Calibration, calibrated
from training.config import CalibrateConfig, Config
from training.data.dataset import hash_lines
from training.evaluation.conformal import conformal_ceiling, conformal_floor
from training.evaluation.scoring import Scored, Selection, score

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]

UNCALIBRATED = "uncalibrated"
"""Version of the thresholds of a bundle that no records have been shown yet."""
FLOORS = "conformal_90"
"""Probability from which on a statement may hold, under this name in the manifest's metrics of calibration."""
CEILINGS = "conformal_90_absent"
"""Probability up to which it may not."""


def run(
    config: Config, bundle: Path, data: Path, *, split: str, source: str | None, thresholds_version: str | None
) -> dict[str, Any]:
    """Fit a bundle on a split and write its manifest.

    Returns:
        The version of the thresholds, how many records they rest on, and the statements of which these had too few.

    Raises:
        BundleError: the bundle cannot be read.
        TrainingError: the records cannot be used.
    """
    opened = read_bundle(bundle)
    scored = score(opened, OnnxEngine(opened), Selection(data, split, source))
    fresh = opened.manifest.thresholds_version == UNCALIBRATED
    so_far = [None if fresh else output.calibration for output in opened.manifest.outputs]
    fitted = [
        fit(scored.logits[:, column], scored.labelled.labels[:, column], config.calibrate, before=before)
        for column, before in enumerate(so_far)
    ]
    outputs = tuple(Output(one, fit_) for one, fit_ in zip(opened.statements, fitted, strict=True))
    version = thresholds_version or f"{split}-{_identity(scored)[:12]}"
    note = {
        "source": scored.labelled.source,
        "split": split,
        "records": len(scored.labelled.records),
        "data_sha256": scored.data_sha256,
        **bounds(scored, outputs, config.calibrate.conformal_confidence),
    }
    manifest = opened.manifest
    metrics = manifest.metrics | {"calibration": note}
    write_manifest(bundle, replace(manifest, outputs=outputs, thresholds_version=version, metrics=metrics))
    enough = [_fewest(column) >= config.calibrate.min_positives for column in scored.labelled.labels.T]
    kept = [one.statement.key for one, fits in zip(outputs, enough, strict=False) if not fits]
    return {"thresholds": version, "records": note["records"], "too_few_to_fit": kept}


def fit(logits: Floats, labels: Labels, config: CalibrateConfig, *, before: Calibration | None = None) -> Calibration:
    """Calibration and threshold of one statement; unknown labels (-1) are left out.

    With too few positives or negatives for two parameters slope and threshold stay what they were; with none of either
    the intercept stays too. A slope that would turn the model round is not fitted.

    Args:
        logits: (record,).
        labels: (record,) 1 present, 0 absent, -1 unknown.
        config: how few are too few, and what a statement starts from.
        before: the calibration so far; None where there was none, which leaves the logit alone.
    """
    before = before or Calibration(threshold=config.default_threshold)
    known = labels >= 0
    scores, positive = logits[known], labels[known] == 1
    fewest = _fewest(labels)
    if not fewest:
        return before
    slope, intercept = platt(scores, positive) if fewest >= config.min_positives else (0.0, 0.0)
    if slope <= 0:
        slope, intercept = before.slope, platt_intercept(before.slope * scores, positive)
    if fewest < config.min_positives:
        return Calibration(slope, intercept, before.threshold)
    probabilities = calibrated(scores[:, None], [Calibration(slope, intercept)])[:, 0]
    threshold = best_f1_threshold(probabilities, positive)
    return Calibration(slope, intercept, float(np.clip(threshold, config.min_threshold, config.max_threshold)))


def _fewest(labels: Labels) -> int:
    """How many known labels there are of the rarer kind."""
    return min(int((labels == 1).sum()), int((labels == 0).sum()))


def platt(logits: Floats, positive: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of smoothed labels on the logit."""
    targets = _smoothed(positive)
    # A soft label is both labels, each with its share of the weight.
    twice, labels = np.concatenate([logits, logits]), np.repeat([1, 0], len(logits))
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(twice[:, None], labels, np.concatenate([targets, 1 - targets]))
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def platt_intercept(logits: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """The intercept alone, so that the mean probability is the share of positives."""
    targets = _smoothed(positive)
    span = float(np.abs(logits).max()) + 50.0
    return float(optimize.brentq(lambda shift: float((expit(logits + shift) - targets).mean()), -span, span))


def best_f1_threshold(probabilities: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """The threshold of the best F1, half-way to the next lower probability; equal ones are never parted."""
    values, at = np.unique(-probabilities, return_inverse=True)
    found = np.cumsum(np.bincount(at, positive, len(values)))
    named = np.cumsum(np.bincount(at, minlength=len(values)))
    best = int(np.argmax(2 * found / (named + positive.sum())))
    below = values[best + 1] if best + 1 < len(values) else values[best]
    return float(-(values[best] + below) / 2)


def _smoothed(positive: npt.NDArray[np.bool_]) -> Floats:
    """Platt's targets: not 0 and 1, but what one more of each kind would leave of them."""
    count = int(positive.sum())
    return np.where(positive, (count + 1) / (count + 2), 1 / (len(positive) - count + 2))


def bounds(scored: Scored, outputs: tuple[Output, ...], confidence: float) -> dict[str, Any]:
    """Floors and ceilings of the prediction sets.

    Each bound keeps its promise at the confidence asked for; those of the superclasses, of which the worst is what
    counts, all together (Bonferroni).
    """
    probabilities = calibrated(scored.logits, [one.calibration for one in outputs])
    together = sum(one.statement.group == "superclass" for one in outputs)
    floors: dict[str, float | None] = {}
    ceilings: dict[str, float | None] = {}
    for column, output in enumerate(outputs):
        one, labels = output.statement, scored.labelled.labels[:, column]
        each = 1 - (1 - confidence) / (together if one.group == "superclass" else 1)
        floors[one.key] = conformal_floor(probabilities[:, column], labels == 1, confidence=each)
        ceilings[one.key] = conformal_ceiling(probabilities[:, column], labels == 0, confidence=each)
    named = {FLOORS: floors, CEILINGS: ceilings}
    kept = {name: {key: one for key, one in bounds.items() if one is not None} for name, bounds in named.items()}
    return kept | {"conformal_confidence": confidence}


def _identity(scored: Scored) -> str:
    """What the thresholds depend on: the records, their labels and the logits, to a precision that machines share."""
    labels = scored.labelled.labels[:, : scored.logits.shape[1]].tobytes().hex()
    return hash_lines([scored.data_sha256, labels, np.round(scored.logits, 2).tobytes().hex()])
