"""P waves of unmarked records are counted by their rhythm and rate, in the split that was asked for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from model.reading.waves import Waves
from model.signal.recording import Recording
from tests.model.synthetic import beat_waves, r_peaks_ms
from training.data.dataset import PreparedSet
from training.waves.p_waves import p_waves_by_rhythm, table_of_p_waves
from training.waves.rhythms import read_rhythms

SAID = ({"NSR"}, {"NSR", "SB"}, {"STach"}, {"AF"}, {"AFL"}, {"AF", "NSR"}, {"NSR", "PACE"})
KEYS = ("NSR", "SB", "SA", "STach", "AF", "AFL", "PACE")


def prepared() -> PreparedSet:
    """Each of some rhythms once in train and once in val; a window holds the number of its record."""
    records = len(SAID) * 2
    labels = np.array([[int(key in said) for key in KEYS] for said in SAID] * 2, dtype=np.int8)
    windows = np.broadcast_to(np.arange(records)[:, None, None], (records, 8, 2500)).astype(np.float16)
    nothing = np.full(records, "")
    return PreparedSet(
        folder=Path("simulated"),
        windows=windows,
        window_record=np.arange(records, dtype=np.int32),
        labels=labels,
        keys=KEYS,
        records=tuple(map(str, range(records))),
        hashes=tuple(map(str, range(records))),
        splits=np.array(["train"] * len(SAID) + ["val"] * len(SAID)),
        patients=nothing,
        ages=np.zeros(records, dtype=np.float32),
        sexes=nothing,
        meta={},
    )


def method(seen: list[int]) -> Callable[[Recording], Waves]:
    """Every record beats 75 a minute, and odd ones show P."""

    def found(recording: Recording) -> Waves:
        seen.append(int(recording.signal_mv[0, 0]))
        return beat_waves(r_peaks_ms(), ("P", "QRS", "T") if seen[-1] % 2 else ("QRS", "T"))

    return found


def test_each_record_of_val_counts_in_its_rhythm() -> None:
    seen: list[int] = []
    figures = p_waves_by_rhythm(prepared(), method(seen))
    assert sorted(seen) == [7, 8, 9, 10, 11]
    sinus = figures["sinus,  60 to 80 /min"]
    assert (sinus.records, sinus.below_one) == (3, 1 / 3)
    assert round(sinus.per_qrs, 6) == round(2 / 3, 6)
    assert (figures["fibrillation"].per_record, figures["flutter"].below_one) == (0.0, 0.0)
    assert "| fibrillation | 1 | 0.0 | 0.00 | 100 % |" in table_of_p_waves(figures)


def test_a_head_learns_from_the_rhythms_of_train_that_are_beyond_doubt() -> None:
    rhythms = read_rhythms(prepared())
    assert [rows.tolist() for rows in rhythms.with_p] == [[0, 1], [2]]
    assert rhythms.without_p.tolist() == [3, 4]
