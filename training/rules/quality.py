"""The coefficients of the quality verdict, fitted on records that were judged by hand, and how often they are right."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from model.files.wfdb_files import read_record
from model.signal.lead_features import lead_features
from model.signal.quality import ACCEPTABILITY, ACCEPTABLE_FROM, Verdict, at_common_rate, check_quality
from training.errors import TrainingError

FOLDS, SEED = 10, 0
LABELS = "labels.csv"


def run(data: Path) -> dict[str, Any]:
    """Score the verdict that ships, and fit it anew.

    Args:
        data: a folder of WFDB records beside a `labels.csv` with columns `record` and `acceptable` (1 or 0).

    Returns:
        `accuracy`, `sensitivity` (of the unacceptable) and `specificity` of the shipped coefficients, what ten-fold
        cross-validation says of coefficients fitted here, and those coefficients, intercept first.
    """
    rows, verdicts, acceptable = _read(data)
    shipped = np.array([verdict != "unusable" for verdict in verdicts])
    return _figures(shipped, acceptable) | _fitted(rows, acceptable) | {"shipped": list(ACCEPTABILITY), "n": len(rows)}


def _read(data: Path) -> tuple[npt.NDArray[np.float64], list[Verdict], npt.NDArray[np.bool_]]:
    """Features, verdicts and labels of every record, in the order of the labels."""
    path = data / LABELS
    if not path.is_file():
        raise TrainingError(f"no {LABELS} in {data}; wanted columns record and acceptable")
    with path.open(newline="") as file:
        labels = {row["record"]: row["acceptable"] == "1" for row in csv.DictReader(file)}
    recordings = [read_record(data / f"{name}.hea") for name in labels]
    rows = np.stack([lead_features(at_common_rate(recording)[1]).row() for recording in recordings])
    return rows, [check_quality(recording).verdict for recording in recordings], np.array(list(labels.values()))


def _figures(said: npt.NDArray[np.bool_], acceptable: npt.NDArray[np.bool_]) -> dict[str, float]:
    return {
        "accuracy": float((said == acceptable).mean()),
        "sensitivity": float((~said)[~acceptable].mean()),
        "specificity": float(said[acceptable].mean()),
    }


def _fitted(rows: npt.NDArray[np.float64], acceptable: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Coefficients on all records, and the figures of others like them on records they were not fitted on."""
    model = LogisticRegression(C=1.0, max_iter=1000)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    chances = cross_val_predict(model, rows, acceptable, cv=folds, method="predict_proba")[:, 1]
    model.fit(rows, acceptable)
    coefficients = [float(model.intercept_[0]), *model.coef_[0].tolist()]
    return {
        "cross_validated": _figures(chances >= ACCEPTABLE_FROM, acceptable),
        "fitted": [round(value, 3) for value in coefficients],
    }
