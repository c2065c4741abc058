"""Figures of boundaries and intervals on marks made by hand."""

import numpy as np
import pytest

from model.reading.waves import Wave, Waves
from model.signal.leads import STANDARD_LEADS
from model.signal.recording import Recording
from training.sources.ludb import MarkedRecord, marks_of
from training.waves.metrics import (
    INTERVALS,
    boundary_figures,
    false_p_waves,
    global_gaps_ms,
    interval_figures,
    marked_waves,
    match_times,
)

BEATS_S = (2.0, 3.0, 4.0, 5.0)


def record(*, p: bool = True) -> MarkedRecord:
    symbols, times_s = [], []
    for beat_s in BEATS_S:
        symbols += list("(p)" * p + "(N)(t)")
        times_s += [beat_s - gap for gap in (0.2, 0.15, 0.1)] * p
        times_s += [beat_s + gap for gap in (-0.04, 0.0, 0.05, 0.2, 0.3, 0.36)]
    marks = marks_of(symbols, np.array(times_s))
    recording = Recording(np.zeros((12, 5000), dtype=np.float32), 500.0, STANDARD_LEADS)
    return MarkedRecord("1", recording, (marks,) * 12)


def moved(waves: Waves, shift_ms: float) -> Waves:
    return {
        lead: tuple(
            Wave(one.wave, one.onset_ms + shift_ms, one.peak_ms + shift_ms, one.offset_ms + shift_ms, 1.0)
            for one in found
        )
        for lead, found in waves.items()
    }


def test_the_marks_themselves_are_perfect() -> None:
    marked = record()
    for one in boundary_figures([marked], [marked_waves(marked)]).values():
        assert (one.f1, one.bias_ms, one.sd_ms) == (100.0, 0.0, 0.0)
    figures = interval_figures([marked], [marked_waves(marked)])
    assert {name: one.mae for name, one in figures.items()} == dict.fromkeys(INTERVALS, 0.0)
    assert not any(one.missing for one in figures.values())


def test_late_boundaries_are_a_bias() -> None:
    marked = record()
    figures = boundary_figures([marked], [moved(marked_waves(marked), 7.0)])
    assert figures["T offset"].bias_ms == pytest.approx(7.0)
    assert figures["T offset"].f1 == 100.0


def test_what_lies_beyond_the_tolerance_is_missed_and_invented() -> None:
    marked = record()
    figures = boundary_figures([marked], [moved(marked_waves(marked), 400.0)])
    assert figures["QRS onset"].f1 < 50.0


def test_waves_where_nobody_looked_do_not_count() -> None:
    marked = record()
    early = {lead: (Wave("QRS", 500.0, 540.0, 590.0, 1.0), *waves) for lead, waves in marked_waves(marked).items()}
    assert boundary_figures([marked], [early])["QRS onset"].precision == 100.0
    assert interval_figures([marked], [early])["HR"].mae == 0.0


def test_nothing_found_is_nothing_measured() -> None:
    marked = record()
    nothing: Waves = dict.fromkeys(STANDARD_LEADS, ())
    assert boundary_figures([marked], [nothing])["P onset"].f1 == 0.0
    assert interval_figures([marked], [nothing])["QT"].missing == 1


def test_p_waves_where_there_is_none() -> None:
    without, with_p = record(p=False), record()
    assert false_p_waves([without, with_p], [marked_waves(with_p), marked_waves(with_p)]) == [4.0]


def test_times_are_matched_once_nearest_first() -> None:
    truth, found = match_times(np.array([100.0, 300.0]), np.array([90.0, 160.0, 1000.0]))
    assert truth.tolist() == [0, 1]
    assert found.tolist() == [0, 1]


def test_the_gap_of_global_boundaries_is_what_the_margins_lack() -> None:
    marked = record()
    gaps_ms = global_gaps_ms([marked] * 3, [moved(marked_waves(marked), shift_ms) for shift_ms in (-3.0, 2.0, 90.0)])
    assert gaps_ms.keys() == boundary_figures([marked], [marked_waves(marked)]).keys()
    assert gaps_ms["QRS onset"] == pytest.approx(2.0)
    assert gaps_ms["T offset"] == pytest.approx(2.0)
