"""Faster hearts made of marked beats: the rate that was asked for, marks on their waves, and P upon T."""

import numpy as np
import pytest

from model.reading.beats import match_beats
from model.signal.leads import STANDARD_LEADS
from tests.training.waves.test_bench import record
from training.sources.ludb import MarkedRecord
from training.waves.metrics import intervals, marked_waves
from training.waves.tachycardia import hurried, hurried_records
from training.waves.targets import rasterise


def faster(bpm: float, seed: int = 0) -> MarkedRecord:
    made = hurried(record(), bpm, np.random.default_rng(seed))
    assert made is not None
    return made


@pytest.mark.parametrize("bpm", [90.0, 120.0])
def test_the_heart_beats_at_the_rate_that_was_asked_for(bpm: float) -> None:
    assert intervals(marked_waves(faster(bpm)))["HR"] == pytest.approx(bpm, rel=0.03)


def test_a_rate_at_which_p_would_come_before_the_peak_of_t_is_not_reached() -> None:
    made = faster(280.0)
    marks = made.marks[1]
    assert intervals(marked_waves(made))["HR"] < 250.0
    p, t = marks.of("P"), marks.of("T")
    for onset_s in p.onset_s[1:]:
        assert onset_s > t.peak_s[t.peak_s < onset_s + 0.3].max() - 0.3


def test_marks_stay_on_their_waves() -> None:
    made = faster(110.0)
    lead_mv = made.recording.signal_mv[1]
    for peak_s in made.marks[1].of("QRS").peak_s[1:-1].tolist():
        at = round(peak_s * made.recording.sampling_hz)
        around = slice(at - 30, at + 30)
        assert abs(int(np.abs(lead_mv[around]).argmax()) - 30) <= 2


def test_qrs_keeps_its_width_and_qt_shortens() -> None:
    was, is_ = (intervals(marked_waves(one)) for one in (record(), faster(120.0)))
    assert is_["QRS"] == pytest.approx(was["QRS"], abs=2.5)
    assert 0.7 * was["QT"] < is_["QT"] < 0.95 * was["QT"]


def test_t_ends_where_p_begins_when_they_meet() -> None:
    made = faster(150.0)
    beats = match_beats(marked_waves(made), STANDARD_LEADS)
    between_ms = beats.marks_ms["P"][0, :, 2:-1] - beats.marks_ms["T"][2, :, 1:-2]
    assert np.nanmin(between_ms) >= -1e-6
    for marks in made.marks:
        label, _ = rasterise(marks)
        assert {1, 2, 3} <= set(label.tolist())


def test_a_record_without_p_cannot_be_made_faster() -> None:
    one = record()
    bare = MarkedRecord(one.name, one.recording, tuple(marks.of("QRS") for marks in one.marks))
    assert hurried(bare, 120.0, np.random.default_rng(0)) is None
    made = hurried_records([bare, one], [(100.0, 110.0), (110.0, 120.0)], seed=0)
    assert [at for at, _ in made] == [1, 1]


def test_the_same_seed_makes_the_same_records() -> None:
    first, again = (hurried_records([record()], [(100.0, 140.0)], seed=3)[0][1] for _ in range(2))
    np.testing.assert_array_equal(first.recording.signal_mv, again.recording.signal_mv)
