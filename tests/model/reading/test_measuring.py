"""What is measured from waves whose truth is known, and why a number is absent."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.reading.measurements import ABSENT, MEASUREMENTS, LeadMeasurements, Measurement
from model.reading.measuring import measure, rhythm_cautions
from model.reading.waves import Wave, WaveKind, Waves
from model.signal.leads import CHEST_LEADS, LIMB_ALGEBRA, MODEL_LEADS, STANDARD_LEADS
from model.signal.quality import Issue, Quality
from model.signal.recording import Recording
from tests.model.synthetic import Truth, beat_waves, beats, r_peaks_ms

GOOD = Quality("good")
TRUTH = Truth()
KINDS: tuple[WaveKind, ...] = ("P", "QRS", "T")


def values(measured: dict[str, Measurement]) -> dict[str, float | None]:
    return {name: one.value for name, one in measured.items()}


def reasons(measured: dict[str, Measurement]) -> set[str | None]:
    return {one.absent for one in measured.values() if one.value is None}


def limb_dipole(angle_deg: float, size_mv: float) -> tuple[float, float]:
    """Amplitudes of I and II for a frontal vector."""
    return (
        size_mv * float(np.cos(np.radians(angle_deg))),
        size_mv * float(np.cos(np.radians(60.0 - angle_deg))),
    )


def test_regular_beats_measure_as_they_were_drawn() -> None:
    measured, _ = measure(beats(), beat_waves(r_peaks_ms()), GOOD)
    assert tuple(measured) == MEASUREMENTS
    found = values(measured)
    assert found["heart_rate_bpm"] == pytest.approx(75.0)
    assert found["rr_ms"] == pytest.approx(800.0)
    assert found["rmssd_ms"] == pytest.approx(0.0)
    assert found["sdnn_ms"] == pytest.approx(0.0)
    assert found["p_duration_ms"] == pytest.approx(TRUTH.p_ms)
    assert found["pr_ms"] == pytest.approx(TRUTH.pr_ms)
    assert found["qrs_ms"] == pytest.approx(TRUTH.qrs_ms)
    assert found["qt_ms"] == pytest.approx(TRUTH.qt_ms)
    assert not reasons(measured)
    assert measured["qrs_ms"].leads == 12
    assert measured["qrs_ms"].spread == pytest.approx(0.0)


def test_qtc_follows_each_formula() -> None:
    found = values(measure(beats(), beat_waves(r_peaks_ms()), GOOD)[0])
    qt_ms, rr_s = TRUTH.qt_ms, 0.8
    assert found["qtc_bazett_ms"] == pytest.approx(qt_ms / rr_s**0.5)
    assert found["qtc_fridericia_ms"] == pytest.approx(qt_ms / rr_s ** (1 / 3))
    assert found["qtc_framingham_ms"] == pytest.approx(qt_ms + 154 * (1 - rr_s))
    assert found["qtc_hodges_ms"] == pytest.approx(qt_ms + 1.75 * (75 - 60))


def test_variability_is_that_of_the_beats() -> None:
    rr_ms = np.tile([700.0, 900.0], 5)
    peaks = np.concatenate([[500.0], 500.0 + np.cumsum(rr_ms)])
    measured, _ = measure(beats(peaks_ms=peaks), beat_waves(peaks), GOOD)
    assert measured["rmssd_ms"].value == pytest.approx(200.0)
    assert measured["sdnn_ms"].value == pytest.approx(float(np.std(rr_ms, ddof=1)))
    assert measured["rr_ms"].spread == pytest.approx(100.0)
    assert rhythm_cautions(measured, paced=False) == ("irregular_rhythm",)


def test_a_regular_rhythm_calls_for_no_caution_and_a_paced_one_is_said() -> None:
    measured, _ = measure(beats(), beat_waves(r_peaks_ms()), GOOD)
    assert rhythm_cautions(measured, paced=False) == ()
    assert rhythm_cautions(measured, paced=True) == ("paced_rhythm",)


@pytest.mark.parametrize("angle_deg", [-120.0, -60.0, 0.0, 30.0, 59.0, 90.0, 175.0])
def test_axes_point_where_the_dipole_does(angle_deg: float) -> None:
    recording = beats(noise_mv=0.0)
    one, two = limb_dipole(angle_deg, 1.0)
    shape = recording.signal_mv[recording.leads.index("V6")]
    limbs = {name: (a * one + b * two) * shape for name, (a, b) in LIMB_ALGEBRA.items()}
    signal_mv = np.stack([limbs.get(name, shape) for name in STANDARD_LEADS])
    measured, _ = measure(Recording(signal_mv, 500, STANDARD_LEADS), beat_waves(r_peaks_ms()), GOOD)
    for name in ("p_axis_deg", "qrs_axis_deg", "t_axis_deg"):
        assert measured[name].value == pytest.approx(angle_deg, abs=2.0)
        assert measured[name].leads == 2


@pytest.mark.parametrize("sampling_hz", [100.0, 250.0, 500.0, 1000.0])
def test_amplitudes_are_those_of_the_recording_at_any_rate(sampling_hz: float) -> None:
    recording = beats(noise_mv=0.0, sampling_hz=sampling_hz)
    measured, leads = measure(recording, beat_waves(r_peaks_ms()), GOOD)
    assert leads["V5"].r_mv == pytest.approx(1.40, abs=0.07)
    assert leads["V1"].s_mv == pytest.approx(1.00, abs=0.12)
    assert leads["V1"].r_mv == pytest.approx(0.25, abs=0.05)
    assert leads["V5"].st_j_mv == pytest.approx(0.0, abs=0.02)
    assert measured["sokolow_lyon_mv"].value == pytest.approx(1.00 + 1.40, abs=0.15)
    assert measured["cornell_mv"].value == pytest.approx(0.25 + 0.90, abs=0.15)


def test_a_raised_st_segment_is_measured_against_the_pr_segment_on_a_wandering_baseline() -> None:
    recording = beats(noise_mv=0.0)
    times_ms = np.arange(5000) * 2.0
    wander = 0.5 * np.sin(2 * np.pi * times_ms / 7000)
    raised = sum(0.2 * ((times_ms > peak + 44) & (times_ms < peak + 200)) for peak in r_peaks_ms())
    lifted = Recording(recording.signal_mv + (wander + raised).astype(np.float32), 500, recording.leads)
    _, leads = measure(lifted, beat_waves(r_peaks_ms()), GOOD)
    assert leads["V2"].st_j60_mv == pytest.approx(0.2, abs=0.04)
    assert leads["V2"].st_j_mv == pytest.approx(0.2, abs=0.08)


def test_qs_complexes_have_no_r_and_their_depth_counts_as_s() -> None:
    recording = beats(noise_mv=0.0)
    row = recording.leads.index("V1")
    recording.signal_mv[row] = -recording.signal_mv[recording.leads.index("V6")].clip(min=0)
    _, leads = measure(recording, beat_waves(r_peaks_ms()), GOOD)
    assert leads["V1"].r_mv is None
    assert leads["V1"].s_mv == pytest.approx(1.1, abs=0.05)


def drawn_in_v1(*bumps: tuple[float, float]) -> LeadMeasurements:
    """What is measured in V1 of a QRS of bumps, each a place from the R peak in ms and a height in mV."""
    recording = beats(noise_mv=0.0)
    times_ms = np.arange(5000) * 2.0
    for peak in r_peaks_ms():
        inside = (times_ms >= peak - 45) & (times_ms <= peak + 50)
        shape = sum(height * np.exp(-0.5 * ((times_ms - peak - at) / 5) ** 2) for at, height in bumps)
        recording.signal_mv[recording.leads.index("V1")][inside] = np.asarray(shape, np.float32)[inside]
    return measure(recording, beat_waves(r_peaks_ms()), GOOD)[1]["V1"]


def test_an_s_between_two_r_waves_is_one() -> None:
    block = drawn_in_v1((-25.0, 0.2), (0.0, -0.6), (25.0, 1.1))
    assert block.r_mv == pytest.approx(1.1, abs=0.03)
    assert block.s_mv == pytest.approx(0.6, abs=0.03)


def test_an_s_after_a_small_r_is_one_where_st_rises_above_it() -> None:
    raised = drawn_in_v1((-25.0, 0.1), (0.0, -1.2), (45.0, 0.3))
    assert raised.s_mv == pytest.approx(1.2, abs=0.03)


def test_a_q_before_r_is_no_s() -> None:
    assert drawn_in_v1((-20.0, -0.6), (15.0, 1.1)).s_mv is None
    assert drawn_in_v1((-35.0, 0.03), (-15.0, -0.6), (15.0, 1.1)).s_mv is None


def test_without_p_waves_pr_is_absent_and_the_rest_is_there() -> None:
    measured, leads = measure(beats(), beat_waves(r_peaks_ms(), ("QRS", "T")), GOOD)
    for name in ("p_duration_ms", "pr_ms", "p_axis_deg"):
        assert measured[name] == Measurement(None, absent="no_p_wave")
    assert measured["qt_ms"].value == pytest.approx(TRUTH.qt_ms)
    assert leads["II"].pr_ms is None


def test_a_stray_p_wave_is_no_pr_interval() -> None:
    peaks = r_peaks_ms()
    with_p, without = beat_waves(peaks[:2]), beat_waves(peaks[2:], ("QRS", "T"))
    waves = {lead: with_p[lead] + without[lead] for lead in STANDARD_LEADS}
    assert measure(beats(), waves, GOOD)[0]["pr_ms"].absent == "no_p_wave"


@pytest.mark.parametrize(("count", "rr_ms"), [(6, 190.0), (3, 3100.0)])
def test_rates_outside_20_to_300_are_not_reported(count: int, rr_ms: float) -> None:
    peaks = np.arange(count, dtype=np.float64) * rr_ms + 500.0
    measured, _ = measure(beats(peaks_ms=peaks), beat_waves(peaks, ("QRS",)), GOOD)
    assert measured["heart_rate_bpm"].absent == "rate_out_of_range"
    assert measured["qrs_ms"].value == pytest.approx(TRUTH.qrs_ms)


def test_two_beats_give_intervals_and_no_rate() -> None:
    peaks = np.array([1000.0, 1800.0])
    measured, _ = measure(beats(peaks_ms=peaks), beat_waves(peaks), GOOD)
    assert measured["heart_rate_bpm"].absent == "too_few_beats"
    assert measured["qtc_fridericia_ms"].absent == "too_few_beats"
    assert measured["qt_ms"].value == pytest.approx(TRUTH.qt_ms)


@pytest.mark.parametrize(
    ("waves", "reason"),
    [({}, "no_usable_leads"), (dict.fromkeys(STANDARD_LEADS, ()), "no_usable_leads")],
)
def test_without_waves_everything_is_absent(waves: Waves, reason: str) -> None:
    measured, leads = measure(beats(), waves, GOOD)
    assert reasons(measured) == {reason}
    assert all(one == LeadMeasurements() for one in leads.values())
    assert rhythm_cautions(measured, paced=False) == ("no_waves",)


def test_leads_that_do_not_agree_on_any_beat_give_nothing() -> None:
    waves: Waves = {
        lead: (Wave("QRS", 500.0 * row + 500, 500.0 * row + 540, 500.0 * row + 580, 1.0),)
        for row, lead in enumerate(STANDARD_LEADS)
    }
    assert reasons(measure(beats(), waves, GOOD)[0]) == {"too_few_beats"}


def test_an_unusable_recording_is_not_measured() -> None:
    measured, leads = measure(beats(), beat_waves(r_peaks_ms()), Quality("unusable"))
    assert reasons(measured) == {"unusable_recording"}
    assert set(leads) == set(STANDARD_LEADS)


def test_a_poor_lead_is_left_out_and_its_formulas_are_absent() -> None:
    quality = Quality("limited", (Issue("noise", "V1"), Issue("flat", "aVF"), Issue("mains_hum", "V6")), ("aVF",))
    measured, leads = measure(beats(), beat_waves(r_peaks_ms()), quality)
    assert measured["qrs_ms"].leads == 10
    assert measured["sokolow_lyon_mv"].absent == "missing_leads"
    assert measured["qrs_axis_deg"].absent == "missing_leads"
    assert measured["cornell_mv"].value is not None
    assert leads["V1"] == LeadMeasurements()
    assert leads["V6"].qrs_ms == pytest.approx(TRUTH.qrs_ms)


def test_eight_leads_measure_as_twelve_by_derivation() -> None:
    plain = beats()
    rows = [STANDARD_LEADS.index(name) for name in MODEL_LEADS]
    eight = Recording(plain.signal_mv[rows], 500, MODEL_LEADS)
    whole, fewer = (measure(one, beat_waves(r_peaks_ms()), GOOD)[0] for one in (plain, eight))
    for name in MEASUREMENTS:
        assert fewer[name].value == pytest.approx(whole[name].value, abs=0.5)


def test_a_lead_derived_from_a_poor_one_is_poor() -> None:
    plain = beats()
    rows = [STANDARD_LEADS.index(name) for name in MODEL_LEADS]
    eight = Recording(plain.signal_mv[rows], 500, MODEL_LEADS)
    quality = Quality("limited", (Issue("noise", "I"),))
    measured, leads = measure(eight, beat_waves(r_peaks_ms()), quality)
    assert measured["qrs_ms"].leads == len(MODEL_LEADS) - 1
    assert leads["aVF"] == LeadMeasurements()


def contradicting(*leads: str) -> Quality:
    return Quality("limited", tuple(Issue("contradicts_limb_leads", lead) for lead in leads))


def test_leads_that_contradict_the_others_are_derived_from_those_and_the_rest_stays() -> None:
    plain = beats()
    names = {"aVL": "aVF", "aVF": "aVL"}
    renamed = Recording(plain.signal_mv, 500, tuple(names.get(lead, lead) for lead in plain.leads))
    waves = beat_waves(r_peaks_ms())
    expected, expected_leads = measure(plain, waves, GOOD)
    measured, leads = measure(renamed, waves, contradicting("aVL", "aVF"))
    for name in MEASUREMENTS:
        assert measured[name].value == pytest.approx(expected[name].value, abs=0.1)
        assert measured[name].leads == expected[name].leads
    assert leads["aVL"].r_mv == pytest.approx(expected_leads["aVL"].r_mv, abs=0.02)


def test_limb_leads_none_of_which_can_be_believed_have_intervals_and_no_amplitudes() -> None:
    measured, leads = measure(beats(), beat_waves(r_peaks_ms()), contradicting(*LIMB_ALGEBRA))
    for name in ("p_axis_deg", "qrs_axis_deg", "t_axis_deg", "cornell_mv"):
        assert measured[name] == Measurement(None, absent="contradicting_leads")
    assert measured["qrs_ms"].leads == 12
    assert measured["sokolow_lyon_mv"].value is not None
    assert leads["II"].qrs_ms == pytest.approx(TRUTH.qrs_ms)
    assert (leads["II"].r_mv, leads["II"].st_j_mv) == (None, None)
    assert leads["V5"].r_mv is not None


def test_one_lead_is_enough_for_intervals() -> None:
    plain = beats()
    alone = Recording(plain.signal_mv[1:2], 500, ("II",))
    measured, _ = measure(alone, {"II": beat_waves(r_peaks_ms())["II"]}, GOOD)
    assert measured["qt_ms"].value == pytest.approx(TRUTH.qt_ms)
    assert measured["qt_ms"].leads == 1
    assert measured["qrs_axis_deg"].absent == "missing_leads"


def test_chest_leads_alone_are_measured() -> None:
    plain = beats()
    chest = Recording(plain.signal_mv[6:], 500, CHEST_LEADS)
    measured, _ = measure(chest, {lead: beat_waves(r_peaks_ms())[lead] for lead in CHEST_LEADS}, GOOD)
    assert measured["qrs_ms"].leads == 6
    assert measured["sokolow_lyon_mv"].value is not None


def test_waves_at_the_very_edges_of_the_recording_do_no_harm() -> None:
    peaks = np.array([10.0, 5000.0, 9990.0])
    measured, leads = measure(beats(peaks_ms=peaks), beat_waves(peaks), GOOD)
    assert measured["qrs_ms"].value == pytest.approx(TRUTH.qrs_ms)
    assert leads["V5"].r_mv is not None


def test_waves_of_a_lead_that_the_recording_does_not_have_are_left_out() -> None:
    alone = Recording(beats().signal_mv[1:2], 500, ("II",))
    measured, leads = measure(alone, beat_waves(r_peaks_ms()), GOOD)
    assert measured["qt_ms"].leads == 1
    assert leads["V1"] == LeadMeasurements()


def drawn_waves(draw: st.DrawFn) -> tuple[Wave, ...]:
    """Waves at any place of a recording of ten seconds, in any order of kinds."""
    times = sorted(draw(st.lists(st.floats(0, 10_000), max_size=30)))
    kinds: list[WaveKind] = draw(st.lists(st.sampled_from(KINDS), min_size=10, max_size=10))
    triples = zip(times[::3], times[1::3], times[2::3], strict=False)
    return tuple(Wave(kind, *triple, 0.5) for kind, triple in zip(kinds, triples, strict=False))


@given(st.dictionaries(st.sampled_from(STANDARD_LEADS), st.composite(drawn_waves)()))
@settings(max_examples=60, deadline=None)
def test_any_waves_give_numbers_or_reasons(waves: Waves) -> None:
    measured, leads = measure(beats(sampling_hz=250), waves, GOOD)
    for one in measured.values():
        assert (one.value is None) == (one.absent in ABSENT)
        assert one.value is None or np.isfinite(one.value)
        assert one.spread is None or one.spread >= 0
    assert set(leads) == set(waves)
    assert all(value is None or np.isfinite(value) for lead in leads.values() for value in astuple(lead))


def test_reasons_are_a_closed_vocabulary() -> None:
    assert len(set(ABSENT)) == len(ABSENT)
    assert all(reason.isidentifier() for reason in ABSENT)
