"""Beats are what enough leads agree on, and their bounds are the third outermost."""

import numpy as np
import pytest

from model.reading.beats import leads_needed, match_beats
from model.reading.waves import Wave, Waves
from model.signal.leads import STANDARD_LEADS
from tests.model.synthetic import beat_waves, r_peaks_ms


def shifted(waves: tuple[Wave, ...], by_ms: float) -> tuple[Wave, ...]:
    return tuple(
        Wave(one.wave, one.onset_ms + by_ms, one.peak_ms + by_ms, one.offset_ms + by_ms, one.confidence)
        for one in waves
    )


def spread_waves(peaks_ms: list[float]) -> Waves:
    """Each lead 3 ms later than the one before."""
    whole = beat_waves(np.array(peaks_ms))
    return {lead: shifted(whole[lead], 3.0 * row) for row, lead in enumerate(STANDARD_LEADS)}


def test_global_bounds_are_the_third_earliest_onset_and_the_third_latest_offset() -> None:
    beats = match_beats(spread_waves([1000.0, 1800.0]), STANDARD_LEADS)
    np.testing.assert_allclose(beats.onset_ms["QRS"], [955.0 + 6, 1755.0 + 6])
    np.testing.assert_allclose(beats.offset_ms["QRS"], [1050.0 + 27, 1850.0 + 27])


@pytest.mark.parametrize(("leads", "needed"), [(1, 1), (2, 2), (3, 2), (8, 6), (12, 8)])
def test_two_thirds_of_the_leads_must_show_a_wave(leads: int, needed: int) -> None:
    assert leads_needed(leads) == needed


def test_a_beat_in_seven_leads_of_twelve_is_none_and_in_eight_is_one() -> None:
    waves = beat_waves(r_peaks_ms())
    for shown, count in ((7, 11), (8, 12)):
        fewer = {lead: found if row < shown else found[3:] for row, (lead, found) in enumerate(waves.items())}
        assert match_beats(fewer, STANDARD_LEADS).count == count


def test_a_p_wave_in_too_few_leads_has_no_global_bounds() -> None:
    waves = beat_waves(r_peaks_ms())
    without = {
        lead: tuple(wave for wave in found if row < 7 or wave.wave != "P")
        for row, (lead, found) in enumerate(waves.items())
    }
    beats = match_beats(without, STANDARD_LEADS)
    assert np.isnan(beats.onset_ms["P"]).all()
    assert np.isfinite(beats.onset_ms["QRS"]).all()


def test_a_stray_qrs_of_one_lead_is_no_beat() -> None:
    waves = beat_waves(r_peaks_ms())
    stray = Wave("QRS", 700.0, 740.0, 780.0, 1.0)
    waves["V1"] = tuple(sorted([*waves["V1"], stray], key=lambda wave: wave.onset_ms))
    assert match_beats(waves, STANDARD_LEADS).count == len(r_peaks_ms())


def test_of_two_p_waves_before_a_beat_the_later_counts_and_of_two_t_waves_the_earlier() -> None:
    def marked(peak_ms: float) -> tuple[Wave, ...]:
        return (
            Wave("P", peak_ms - 450, peak_ms - 420, peak_ms - 390, 1.0),
            Wave("P", peak_ms - 200, peak_ms - 160, peak_ms - 120, 1.0),
            Wave("QRS", peak_ms - 40, peak_ms, peak_ms + 40, 1.0),
            Wave("T", peak_ms + 200, peak_ms + 250, peak_ms + 300, 1.0),
            Wave("T", peak_ms + 400, peak_ms + 450, peak_ms + 500, 1.0),
        )

    waves = dict.fromkeys(STANDARD_LEADS, marked(1000.0) + marked(2500.0))
    beats = match_beats(waves, STANDARD_LEADS)
    np.testing.assert_allclose(beats.onset_ms["P"], [800.0, 2300.0])
    np.testing.assert_allclose(beats.offset_ms["T"], [1300.0, 2800.0])


def test_waves_before_the_first_and_after_the_last_beat_belong_to_none() -> None:
    late_p = Wave("P", 9800.0, 9850.0, 9900.0, 1.0)
    early_t = Wave("T", 10.0, 50.0, 90.0, 1.0)
    waves = {lead: (early_t, *found, late_p) for lead, found in beat_waves(r_peaks_ms()).items()}
    beats = match_beats(waves, STANDARD_LEADS)
    assert beats.count == len(r_peaks_ms())
    np.testing.assert_allclose(beats.onset_ms["P"], r_peaks_ms() - 210)


@pytest.mark.parametrize("leads", [(), ("II",)])
def test_no_waves_are_no_beats(leads: tuple[str, ...]) -> None:
    beats = match_beats(dict.fromkeys(leads, ()), leads)
    assert beats.count == 0
    assert beats.onset_ms["QRS"].shape == (0,)
