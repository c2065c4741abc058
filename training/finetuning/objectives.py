"""What the labels of a record ask of a network: every statement on its own, or one superclass out of five."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from scipy.special import softmax
from torch import Tensor

from training.config import Protocol

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Objective:
    """One reading of the labels (R, C) of 1, 0 and -1 for unknown.

    Attributes:
        loss: a weighted mean over records, of logits (B, C) and labels (B, C).
        weights: (R,) what each record weighs in that mean.
        scores: what orders records, from logits (R, C).
        usable: (R,) the records that it is about.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    weights: Callable[[Labels], npt.NDArray[np.int64]]
    scores: Callable[[Floats], Floats]
    usable: Callable[[Labels], npt.NDArray[np.bool_]]


def masked_bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy over the labels that are known."""
    known = labels >= 0
    losses = F.binary_cross_entropy_with_logits(logits, labels.clamp(min=0).float(), reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)


def one_class_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of a softmax over the records with exactly one statement; the others have no say."""
    one = (labels == 1).sum(dim=1) == 1
    losses = F.cross_entropy(logits, labels.argmax(dim=1), reduction="none")
    return (losses * one).sum() / one.sum().clamp(min=1)


def _known(labels: Labels) -> npt.NDArray[np.int64]:
    return np.asarray((labels >= 0).sum(axis=1))


def _one_class(labels: Labels) -> npt.NDArray[np.bool_]:
    return np.asarray((labels == 1).sum(axis=1) == 1)


def _any_known(labels: Labels) -> npt.NDArray[np.bool_]:
    return _known(labels) > 0


OBJECTIVES: dict[Protocol, Objective] = {
    "multi-label": Objective(
        loss=masked_bce,
        weights=_known,
        scores=lambda logits: logits,
        usable=_any_known,
    ),
    "multi-class": Objective(
        loss=one_class_cross_entropy,
        weights=lambda labels: _one_class(labels).astype(np.int64),
        scores=lambda logits: np.asarray(softmax(logits, axis=1)),
        usable=_one_class,
    ),
}
