"""The coefficients of the quality verdict, fitted on records that were judged by hand, and how often they are right."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from model.files.wfdb_files import read_record
from model.signal.lead_features import lead_features
from model.signal.quality import ACCEPTABILITY, ACCEPTABLE_FROM, at_common_rate, check_quality
from training.errors import TrainingError

FOLDS, REPEATS = 10, 10
LABELS = "labels.csv"
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Judged:
    """Records that people have judged, and what is said of them; all (record,) but for `rows`.

    Attributes:
        rows: (record, feature), what the coefficients weigh.
        acceptable: what people said.
        said: what the verdict that ships says.
        otherwise: what it says without the rule of the coefficients.
    """

    rows: npt.NDArray[np.float64]
    acceptable: Bools
    said: Bools
    otherwise: Bools


def run(data: Path) -> dict[str, Any]:
    """Score the verdict that ships, and fit it anew.

    Args:
        data: a folder of WFDB records beside a `labels.csv` with columns `record` and `acceptable` (1 or 0).

    Returns:
        `accuracy`, `sensitivity` (of the unacceptable) and `specificity` of the shipped verdict, the same when the
        coefficients are fitted on nine tenths of the records and the whole verdict is judged on the rest (means of ten
        draws of the tenths, and how far their accuracies lie apart), and coefficients fitted here, intercept first.
    """
    judged = _read(data)
    return _figures(judged.said, judged.acceptable) | {
        "cross_validated": _cross_validated(judged),
        "fitted": _coefficients(judged),
        "shipped": list(ACCEPTABILITY),
        "n": len(judged.rows),
    }


def _read(data: Path) -> Judged:
    """Every record, in the order of the labels."""
    path = data / LABELS
    if not path.is_file():
        raise TrainingError(f"no {LABELS} in {data}; wanted columns record and acceptable")
    with path.open(newline="") as file:
        labels = {row["record"]: row["acceptable"] == "1" for row in csv.DictReader(file)}
    recordings = [read_record(data / f"{name}.hea") for name in labels]
    return Judged(
        rows=np.stack([lead_features(at_common_rate(one)[1]).row() for one in recordings]),
        acceptable=np.array(list(labels.values())),
        said=np.array([check_quality(one).verdict != "unusable" for one in recordings]),
        otherwise=np.array([check_quality(one, acceptable_from=0.0).verdict != "unusable" for one in recordings]),
    )


def _figures(said: Bools, acceptable: Bools) -> dict[str, float]:
    return {
        "accuracy": float((said == acceptable).mean()),
        "sensitivity": float((~said)[~acceptable].mean()),
        "specificity": float(said[acceptable].mean()),
    }


def _model() -> LogisticRegression:
    return LogisticRegression(C=1.0, max_iter=1000)


def _cross_validated(judged: Judged) -> dict[str, float]:
    """Figures of the whole verdict on records that its coefficients were not fitted on."""
    drawn = []
    for seed in range(REPEATS):
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        chances = cross_val_predict(_model(), judged.rows, judged.acceptable, cv=folds, method="predict_proba")[:, 1]
        drawn.append(_figures((chances >= ACCEPTABLE_FROM) & judged.otherwise, judged.acceptable))
    means = {name: float(np.mean([one[name] for one in drawn])) for name in drawn[0]}
    return means | {"spread": float(np.std([one["accuracy"] for one in drawn]))}


def _coefficients(judged: Judged) -> list[float]:
    """Fitted on all records, intercept first."""
    model = _model().fit(judged.rows, judged.acceptable)
    return [round(float(value), 3) for value in (model.intercept_[0], *model.coef_[0])]
