"""The figures of a scored split: per statement, per group, by sex and age, calibration and conformal coverage."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from model.bundle import Bundle
from model.reading.findings import calibrated
from model.reading.statements import KINDS, STATEMENTS, SUPERCLASSES, VOCABULARY, Statement
from training.config import EvaluateConfig
from training.data.dataset import cluster_numbers
from training.errors import TrainingError
from training.evaluation.calibrate import CEILINGS, FLOORS
from training.evaluation.conformal import coverage, set_size
from training.evaluation.metrics import (
    Figure,
    auprc,
    auroc,
    ece,
    f1,
    figure,
    macro,
    resample,
    sensitivity,
    specificity,
)
from training.evaluation.scoring import Scored

Floats = npt.NDArray[np.float64]

GROUPS = {
    "superclass": frozenset(one.key for one in SUPERCLASSES),
    "statement": frozenset(one.key for one in STATEMENTS),
}
"""Statements that a group's mean is over, as far as the bundle has them; the rest of the vocabulary is `further`."""
FURTHER = "further"
MOSTLY_KNOWN = 0.5
"""A statement known to a smaller share of its group's records is `further`: means over different records do not mix."""
AGE_BANDS = ((0, 40), (40, 60), (60, 80), (80, 200))

NAMES = (
    *("auroc", "auprc", "f1", "sensitivity", "specificity", "ece", "ece_uncalibrated"),
    *("coverage", "coverage_absent", "set_size"),
)


@dataclass(frozen=True, eq=False)
class Answers:
    """What is said of R records about C statements, beside what is known.

    Attributes:
        statements: the C statements.
        scores: (R, C) whatever orders the records.
        probabilities: (R, C) calibrated.
        raw: (R, C) probabilities before calibration.
        thresholds: (C,) on the calibrated probability.
        present: (R, C) whether the statement is made.
        floors: (C,) probability from which on a statement may hold, by conformal prediction; NaN where there is none.
        ceilings: (C,) probability up to which it may not hold.
        labels: int8 (R, C): 1 present, 0 absent, -1 unknown.
    """

    statements: tuple[Statement, ...]
    scores: Floats
    probabilities: Floats
    raw: Floats
    thresholds: Floats
    present: npt.NDArray[np.bool_]
    floors: Floats
    ceilings: Floats
    labels: npt.NDArray[np.int8]

    def rows(self, keep: npt.NDArray[np.bool_]) -> "Answers":
        """The answers about some of the records."""
        names = ("scores", "probabilities", "raw", "present", "labels")
        return replace(self, **{name: getattr(self, name)[keep] for name in names})

    def columns(self, keep: Sequence[int]) -> "Answers":
        """The answers about some of the statements."""
        names = ("scores", "probabilities", "raw", "present", "labels")
        kept = {name: getattr(self, name)[:, keep] for name in names}
        kept |= {name: getattr(self, name)[keep] for name in ("thresholds", "floors", "ceilings")}
        return replace(self, statements=tuple(self.statements[one] for one in keep), **kept)


@dataclass(frozen=True)
class StatementFigures:
    """One statement; `counted` says whether it is in the mean of its group."""

    key: str
    name: str
    group: str
    n: int
    positives: int
    counted: bool
    threshold: float | None
    figures: dict[str, Figure]


@dataclass(frozen=True)
class GroupFigures:
    """Means over the statements of a group that have enough positives."""

    name: str
    n: int
    statements: int
    figures: dict[str, Figure]


@dataclass(frozen=True)
class SubgroupFigures:
    """Macro AUROC of the superclasses in some of the records."""

    name: str
    n: int
    auroc: Figure


@dataclass(frozen=True)
class Figures:
    """Everything that was measured on a split."""

    n: int
    groups: tuple[GroupFigures, ...]
    statements: tuple[StatementFigures, ...]
    subgroups: tuple[SubgroupFigures, ...]


def answers_of(bundle: Bundle, scored: Scored) -> Answers:
    """What a bundle answers, each statement on its own."""
    probabilities = calibrated(scored.logits, bundle.calibrations)
    thresholds = np.array([one.threshold for one in bundle.calibrations])
    fitted = bundle.manifest.metrics.get("calibration", {})
    floors, ceilings = (
        np.array([fitted.get(name, {}).get(one.key, np.nan) for one in bundle.statements])
        for name in (FLOORS, CEILINGS)
    )
    answers = Answers(
        statements=bundle.statements,
        scores=scored.logits,
        probabilities=probabilities,
        raw=np.asarray(expit(scored.logits)),
        thresholds=thresholds,
        present=probabilities >= thresholds,
        floors=floors,
        ceilings=ceilings,
        labels=scored.labelled.labels[:, : len(bundle.statements)],
    )
    for column, key in enumerate(scored.labelled.keys[len(bundle.statements) :], len(bundle.statements)):
        labels = scored.labelled.labels[:, column]
        answers = _through_kinds(answers, key, labels) if (labels >= 0).any() else answers
    return answers


def _through_kinds(answers: Answers, key: str, labels: npt.NDArray[np.int8]) -> Answers:
    """With a statement more, which is as likely as the likeliest of its kinds, and made where one of them is."""
    kinds = answers.columns([at for at, one in enumerate(answers.statements) if one.key in KINDS[key]])
    likeliest = kinds.probabilities.max(axis=1)
    added = {
        "scores": likeliest,
        "probabilities": likeliest,
        "raw": kinds.raw.max(axis=1),
        "present": kinds.present.any(axis=1),
        "labels": labels,
    }
    columns = {name: np.column_stack([getattr(answers, name), one]) for name, one in added.items()}
    bounds = {name: np.append(getattr(answers, name), np.nan) for name in ("thresholds", "floors", "ceilings")}
    return replace(answers, statements=(*answers.statements, VOCABULARY[key]), **columns, **bounds)


def one_of_superclasses(answers: Answers) -> tuple[Answers, npt.NDArray[np.bool_]]:
    """The multi-class protocol: records with exactly one superclass, which the superclasses compete for.

    Returns:
        Answers about the superclasses alone, probabilities their softmax and the likeliest one stated; and which
        records they are about.

    Raises:
        TrainingError: there is no such record.
    """
    columns = [at for at, one in enumerate(answers.statements) if one.group == "superclass"]
    only = answers.columns(columns)
    keep = (only.labels == 1).sum(axis=1) == 1
    if not keep.any():
        raise TrainingError("no record has exactly one superclass that the bundle answers")
    only = only.rows(keep)
    chances = np.asarray(softmax(only.scores, axis=1))
    present = chances == chances.max(axis=1, keepdims=True)
    none = np.full(len(columns), np.nan)
    answered = replace(only, scores=chances, probabilities=chances, raw=chances, present=present)
    return replace(answered, thresholds=none, floors=none, ceilings=none), keep


def build_figures(answers: Answers, scored: Scored, config: EvaluateConfig) -> Figures:
    """Every figure with its interval; draws are of patients where they are known, and the same for all figures."""
    clusters = cluster_numbers(list(scored.labelled.patients))
    columns = range(len(answers.statements))
    values = resample(
        lambda weights: np.stack([_statement_values(answers, one, weights) for one in columns], axis=1),
        clusters,
        draws=config.bootstrap,
        seed=config.seed,
    )
    positives = (answers.labels == 1).sum(axis=0)
    wanted = np.array([1 if one.group == "superclass" else config.min_positives for one in answers.statements])
    counted, groups = positives >= wanted, groups_of(answers)
    return Figures(
        n=len(answers.labels),
        groups=tuple(
            _group(name, answers.labels[:, np.array(groups) == name], values[:, counted & (np.array(groups) == name)])
            for name in (*GROUPS, FURTHER)
        ),
        statements=tuple(
            replace(_statement(answers, one, values[:, one]), group=groups[one], counted=bool(counted[one]))
            for one in columns
        ),
        subgroups=_subgroups(answers, scored, config),
    )


def groups_of(answers: Answers) -> tuple[str, ...]:
    """The group whose mean each statement counts in."""
    named = [next((name for name, keys in GROUPS.items() if one.key in keys), FURTHER) for one in answers.statements]
    known = answers.labels >= 0
    shares = {
        name: known[:, [one == name for one in named]].any(axis=1).sum() * MOSTLY_KNOWN for name in (*GROUPS, FURTHER)
    }
    return tuple(
        name if count >= shares[name] else FURTHER for name, count in zip(named, known.sum(axis=0), strict=True)
    )


def _statement_values(answers: Answers, column: int, weights: Floats) -> Floats:
    """Every figure of one statement, (draw, figure)."""
    labels = answers.labels[:, column]
    known = labels >= 0
    labels, weights = labels[known], weights[:, known]
    scores, said = answers.scores[known, column], answers.probabilities[known, column]
    present, raw = answers.present[known, column], answers.raw[known, column]
    floor, ceiling = answers.floors[column], answers.ceilings[column]
    return np.stack(
        [
            auroc(scores, labels, weights),
            auprc(scores, labels, weights),
            f1(present, labels, weights),
            sensitivity(present, labels, weights),
            specificity(present, labels, weights),
            ece(said, labels, weights),
            ece(raw, labels, weights),
            coverage(said, labels == 1, weights, floor=floor),
            coverage(-said, labels == 0, weights, floor=-ceiling),
            set_size(said, weights, floor=floor, ceiling=ceiling),
        ],
        axis=1,
    )


def _statement(answers: Answers, column: int, values: Floats) -> StatementFigures:
    one, labels = answers.statements[column], answers.labels[:, column]
    return StatementFigures(
        key=one.key,
        name=one.name,
        group=FURTHER,
        n=int((labels >= 0).sum()),
        positives=int((labels == 1).sum()),
        counted=False,
        threshold=float(threshold) if np.isfinite(threshold := answers.thresholds[column]) else None,
        figures={name: figure(values[:, at]) for at, name in enumerate(NAMES)},
    )


def _group(name: str, labels: npt.NDArray[np.int8], values: Floats) -> GroupFigures:
    """Means over the statements that count, `values` (draw, statement, figure); `labels` are of the whole group."""
    return GroupFigures(
        name=name,
        n=int((labels >= 0).any(axis=1).sum()),
        statements=values.shape[1],
        figures={figure_: figure(macro(values[:, :, at])) for at, figure_ in enumerate(NAMES)},
    )


def _subgroups(answers: Answers, scored: Scored, config: EvaluateConfig) -> tuple[SubgroupFigures, ...]:
    ages, sexes = scored.labelled.ages, scored.labelled.sexes
    named = {sex: sexes == sex for sex in ("female", "male")}
    named |= {f"{low} to {high - 1} years": (ages >= low) & (ages < high) for low, high in AGE_BANDS[:-1]}
    named |= {f"{AGE_BANDS[-1][0]} years and over": ages >= AGE_BANDS[-1][0]}
    superclasses = answers.columns([at for at, one in enumerate(answers.statements) if one.group == "superclass"])
    return tuple(
        _subgroup(name, superclasses.rows(keep), list(scored.labelled.patients[keep]), config)
        for name, keep in named.items()
        if keep.any()
    )


def _subgroup(name: str, answers: Answers, patients: list[str], config: EvaluateConfig) -> SubgroupFigures:
    def macro_auroc(weights: Floats) -> Floats:
        every = []
        for column in range(len(answers.statements)):
            labels = answers.labels[:, column]
            known = labels >= 0
            every.append(auroc(answers.scores[known, column], labels[known], weights[:, known]))
        return macro(np.stack(every, axis=-1)) if every else np.full(len(weights), np.nan)

    values = resample(macro_auroc, cluster_numbers(patients), draws=config.bootstrap, seed=config.seed)
    return SubgroupFigures(name, int((answers.labels >= 0).any(axis=1).sum()), figure(values))
