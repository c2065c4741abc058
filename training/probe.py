"""A quick linear probe: how much of the superclasses can be read off frozen representations on the val split."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from model.nn.encoder import Encoder
from model.reading.statements import SUPERCLASSES
from training.dataset import PreparedSet
from training.representations import represent
from training.windows import WindowStore

VAL_RECORDS = 1000
INVERSE_PENALTY = 0.01


def probe_auroc(encoder: Encoder, data: PreparedSet, windows: WindowStore, *, records: int) -> float:
    """Macro AUROC of the superclasses on val records, from logistic regressions on some train records."""
    keys = tuple(statement.key for statement in SUPERCLASSES)
    labels = data.labels_of(keys)
    first = np.searchsorted(data.window_record, np.arange(len(labels)))
    known = (labels >= 0).all(axis=1)
    chosen = []
    for split, count in (("train", records), ("val", VAL_RECORDS)):
        rows = np.flatnonzero((data.splits == split) & known)
        chosen.append(np.random.default_rng(0).permutation(rows)[:count])
    scale = StandardScaler()
    train = scale.fit_transform(represent(encoder, windows, first[chosen[0]]))
    val = scale.transform(represent(encoder, windows, first[chosen[1]]))
    scores = []
    for column in range(len(keys)):
        fitted, wanted = labels[chosen[0], column], labels[chosen[1], column]
        if len(np.unique(fitted)) < 2 or len(np.unique(wanted)) < 2:
            continue
        model = LogisticRegression(C=INVERSE_PENALTY, max_iter=500).fit(train, fitted)
        scores.append(roc_auc_score(wanted, model.decision_function(val)))
    return float(np.mean(scores)) if scores else float("nan")
