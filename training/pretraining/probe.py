"""A quick linear probe: how much of the labels can be read off frozen representations on the val split."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from model.nn.encoder import Encoder
from model.reading.statements import SUPERCLASSES
from training.data.dataset import PreparedSet
from training.data.windows import WindowStore
from training.pretraining.representations import represent

VAL_RECORDS = 1000
INVERSE_PENALTY = 0.01


def probe_auroc(encoder: Encoder, data: PreparedSet, windows: WindowStore, *, records: int) -> float:
    """Macro AUROC on val records, from logistic regressions on some train records; NaN where there is nothing to ask.

    Superclasses are asked for, or in data without any the statements that there are.
    """
    keys = tuple(statement.key for statement in SUPERCLASSES if statement.key in data.keys) or data.keys
    labels = data.labels_of(keys)
    first = np.searchsorted(data.window_record, np.arange(len(labels)))
    known = (labels >= 0).any(axis=1)
    chosen = []
    for split, count in (("train", records), ("val", VAL_RECORDS)):
        rows = np.flatnonzero((data.splits == split) & known)
        chosen.append(np.random.default_rng(0).permutation(rows)[:count])
    if not all(map(len, chosen)):
        return float("nan")
    scale = StandardScaler()
    train = scale.fit_transform(represent(encoder, windows, first[chosen[0]]))
    val = scale.transform(represent(encoder, windows, first[chosen[1]]))
    scores = []
    for column in range(len(keys)):
        fitted, wanted = labels[chosen[0], column], labels[chosen[1], column]
        told, asked = fitted >= 0, wanted >= 0
        if len(np.unique(fitted[told])) < 2 or len(np.unique(wanted[asked])) < 2:
            continue
        model = LogisticRegression(C=INVERSE_PENALTY, max_iter=500).fit(train[told], fitted[told])
        scores.append(roc_auc_score(wanted[asked], model.decision_function(val[asked])))
    return float(np.mean(scores)) if scores else float("nan")
