"""Figures of merit with bootstrap intervals: AUROC, AUPRC, F1 and calibration error.

Every figure takes weights (draw, record) and gives one value a draw: a draw counts each record as often as it was
drawn, and the first draw counts every record once, so that the first value is the figure itself. A record whose label
is unknown must be left out before.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]

ECE_BINS = 15  # Guo et al., "On Calibration of Modern Neural Networks", 2017
_BLOCK = 4_000_000  # weights held at a time


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % percentile interval; None where it is not defined, as an AUROC without positives."""

    value: float | None
    low: float | None
    high: float | None


def resample(statistic: Callable[[Floats], Floats], clusters: npt.NDArray[np.intp], *, draws: int, seed: int) -> Floats:
    """A statistic over bootstrap draws of clusters (patients, or records), (draws + 1, ...), the first unresampled.

    Args:
        statistic: weights (draw, record) to values (draw, ...).
        clusters: (record,) number of each record's cluster, from 0; a cluster is drawn with all its records.
        draws: how many.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    values = [statistic(np.ones((1, len(clusters))))]
    values += [statistic(weights) for weights in _draw(random, clusters, draws)]
    return np.concatenate(values)


def _draw(random: np.random.Generator, clusters: npt.NDArray[np.intp], draws: int) -> Iterator[Floats]:
    count = int(clusters.max()) + 1
    block = max(1, _BLOCK // len(clusters))
    for start in range(0, draws, block):
        times = random.multinomial(count, np.full(count, 1 / count), size=min(block, draws - start))
        yield times[:, clusters].astype(np.float64)


def figure(values: Floats) -> Figure:
    """The first value with the 2.5 and 97.5 percentile of the others; draws that are not defined are left out."""
    value, rest = values[0], values[1:][np.isfinite(values[1:])]
    if not np.isfinite(value):
        return Figure(None, None, None)
    if not len(rest):
        return Figure(float(value), None, None)
    low, high = np.percentile(rest, (2.5, 97.5))
    return Figure(float(value), float(low), float(high))


def macro(values: Floats) -> Floats:
    """Mean over the last axis of what is defined; NaN where nothing is."""
    defined = np.isfinite(values)
    total = np.where(defined, values, 0.0).sum(axis=-1)
    return np.asarray(ratio(total, defined.sum(axis=-1).astype(np.float64)))


def auroc(scores: Floats, labels: Labels, weights: Floats) -> Floats:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half."""
    positive, negative = _by_score(scores, labels, weights)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return ratio((positive * (below + 0.5 * negative)).sum(axis=1), pairs)


def auroc_of_pairs(scores: Floats, classes: npt.NDArray[np.intp], weights: Floats) -> Floats:
    """Mean AUROC over ordered pairs of classes, by the first one's score on records of the two (Hand and Till, 2001).

    Args:
        scores: (record, class).
        classes: (record,) the one class of each.
        weights: (draw, record).
    """
    areas = []
    for first, second in permutations(range(scores.shape[1]), 2):
        both = np.flatnonzero((classes == first) | (classes == second))
        areas.append(auroc(scores[both, first], (classes[both] == first).astype(np.int8), weights[:, both]))
    return macro(np.stack(areas, axis=-1))


def auprc(scores: Floats, labels: Labels, weights: Floats) -> Floats:
    """Average precision: precision at each score, weighted by the recall that it adds."""
    positive, negative = _by_score(-scores, labels, weights)
    found = np.cumsum(positive, axis=1)
    precision = found / np.maximum(found + np.cumsum(negative, axis=1), 1e-12)
    return ratio((positive * precision).sum(axis=1), positive.sum(axis=1))


def f1(present: npt.NDArray[np.bool_], labels: Labels, weights: Floats) -> Floats:
    """Harmonic mean of precision and recall of yes-or-no answers."""
    hits = weights @ (present & (labels == 1))
    return ratio(2 * hits, weights @ present + weights @ (labels == 1))


def sensitivity(present: npt.NDArray[np.bool_], labels: Labels, weights: Floats) -> Floats:
    """Share of the positives that are found."""
    return ratio(weights @ (present & (labels == 1)), weights @ (labels == 1))


def specificity(present: npt.NDArray[np.bool_], labels: Labels, weights: Floats) -> Floats:
    """Share of the negatives that are left alone."""
    return ratio(weights @ (~present & (labels == 0)), weights @ (labels == 0))


def ece(probabilities: Floats, labels: Labels, weights: Floats) -> Floats:
    """Expected calibration error over 15 equal-width bins: |mean probability - share of positives|, by bin weight."""
    bins = np.minimum((probabilities * ECE_BINS).astype(np.intp), ECE_BINS - 1)
    member = np.eye(ECE_BINS)[bins]
    gap = np.abs(weights @ (member * (probabilities - labels)[:, None]))
    return ratio(gap.sum(axis=1), weights.sum(axis=1))


def reliability(probabilities: Floats, labels: Labels) -> tuple[Floats, Floats, Floats]:
    """Per bin that is not empty: mean probability, share of positives, records; bins as in `ece`."""
    bins = np.minimum((probabilities * ECE_BINS).astype(np.intp), ECE_BINS - 1)
    count = np.bincount(bins, minlength=ECE_BINS).astype(np.float64)
    filled = count > 0
    said = np.bincount(bins, probabilities, ECE_BINS)[filled] / count[filled]
    seen = np.bincount(bins, labels == 1, ECE_BINS)[filled] / count[filled]
    return said, seen, count[filled]


def _by_score(scores: Floats, labels: Labels, weights: Floats) -> tuple[Floats, Floats]:
    """Weight of positives and of negatives at each distinct score, ascending, (draw, score) each."""
    if not len(scores):
        return np.zeros((len(weights), 1)), np.zeros((len(weights), 1))
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    positive = labels[order] == 1
    sorted_weights = weights[:, order]
    return (
        np.add.reduceat(sorted_weights * positive, starts, axis=1),
        np.add.reduceat(sorted_weights * ~positive, starts, axis=1),
    )


def ratio(top: Floats, bottom: Floats) -> Floats:
    """Quotient, NaN where nothing is below."""
    return np.divide(top, bottom, out=np.full_like(top, np.nan, dtype=np.float64), where=bottom > 0)
