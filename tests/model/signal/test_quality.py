"""What is wrong with a recording is named, what is right is left alone, and the verdict follows."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import sawtooth, square

from model.files import read_record
from model.signal.leads import LIMB_ALGEBRA, MODEL_LEADS, STANDARD_LEADS
from model.signal.quality import Quality, check_quality
from model.signal.recording import Recording
from tests.model.synthetic import beats
from training.rules.heartless import heartless

Wave = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
TIMES_S = np.arange(5000) / 500
WHITE = np.random.default_rng(3).normal(0.0, 0.3, (12, 5000)).astype(np.float32)


def changed(lead: str, samples_mv: npt.NDArray[np.floating] | float, *, added: bool = False) -> Recording:
    """A good recording with another signal in one lead, or something added to it."""
    recording = beats()
    row = recording.leads.index(lead)
    recording.signal_mv[row] = samples_mv + (recording.signal_mv[row] if added else 0.0)
    return recording


def codes(quality: Quality, lead: str | None) -> set[str]:
    return {issue.code for issue in quality.issues if issue.lead == lead}


@pytest.mark.parametrize("sampling_hz", [100.0, 250.0, 500.0, 1000.0])
def test_a_clean_recording_is_good_at_any_rate(sampling_hz: float) -> None:
    assert check_quality(beats(sampling_hz=sampling_hz)) == Quality("good")


def test_a_flat_lead_is_named_and_dead_and_the_recording_is_limited() -> None:
    quality = check_quality(changed("V2", 0.0))
    assert quality.verdict == "limited"
    assert quality.dead_leads == ("V2",)
    assert codes(quality, "V2") == {"flat"}
    assert quality.poor_leads == {"V2"}


@pytest.mark.parametrize("count", [3, 6])
def test_up_to_half_of_the_leads_may_be_flat(count: int) -> None:
    recording = beats()
    recording.signal_mv[12 - count :] = 0.0
    assert check_quality(recording).verdict == "limited"


def test_with_most_leads_flat_too_little_is_left() -> None:
    recording = beats()
    recording.signal_mv[5:] = 0.0
    assert check_quality(recording).verdict == "unusable"


@pytest.mark.parametrize("dead", [(), ("V2", "V6")])
def test_a_lead_that_moves_with_the_others_after_a_long_pause_is_not_flat(dead: tuple[str, ...]) -> None:
    recording = beats(peaks_ms=np.array([4700.0]), noise_mv=0.001)
    for lead in dead:
        recording.signal_mv[recording.leads.index(lead)] = 0.0
    quality = check_quality(recording)
    assert quality.dead_leads == dead
    assert {issue.lead for issue in quality.issues if issue.code in {"flat", "disconnected_electrode"}} == set(dead)
    assert quality.verdict == "unusable"


def test_dead_leads_that_are_knocked_once_in_a_short_recording_are_unusable() -> None:
    recording = Recording(np.zeros((12, 3000), np.float32), 500, STANDARD_LEADS)
    recording.signal_mv[:, 1500:1540] = np.linspace(0.3, 1.2, 12)[:, None] * np.hanning(40)
    assert check_quality(recording).verdict == "unusable"


@pytest.mark.parametrize("rail_mv", [-80.0, 16.0])
def test_a_lead_at_the_rail_is_a_disconnected_electrode(rail_mv: float) -> None:
    quality = check_quality(changed("V5", rail_mv))
    assert codes(quality, "V5") == {"disconnected_electrode"}
    assert "V5" in quality.dead_leads
    assert quality.verdict != "good"


def test_noise_in_one_lead_is_told_from_the_heart() -> None:
    quality = check_quality(changed("V3", WHITE[0]))
    assert codes(quality, "V3") == {"noise"}
    assert "V3" in quality.poor_leads
    assert quality.verdict == "limited"


def test_a_cut_lead_is_saturated() -> None:
    quality = check_quality(changed("V1", np.clip(20 * beats().signal_mv[6], -2.0, 2.0)))
    assert "saturated" in codes(quality, "V1")


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_mains_hum_is_named_where_the_rate_reaches_it(mains_hz: float) -> None:
    hum = 0.15 * np.sin(2 * np.pi * mains_hz * TIMES_S)
    quality = check_quality(changed("II", hum, added=True))
    assert codes(quality, "II") == {"mains_hum"}
    assert "II" not in quality.poor_leads


@pytest.mark.parametrize("noise_mv", [0.001, 0.01])
def test_right_arm_and_right_leg_swapped_are_suspected_where_ii_is_noise_or_a_line(noise_mv: float) -> None:
    recording = beats()
    limbs = recording.signal_mv[:6].copy()
    two = np.random.default_rng(0).normal(0, noise_mv, (limbs.shape[1],)).astype(np.float32)
    first = limbs[0] - limbs[1]
    for row, (a, b) in enumerate(LIMB_ALGEBRA.values()):
        recording.signal_mv[row] = a * first + b * two
    quality = check_quality(recording)
    assert "II" in quality.poor_leads
    assert codes(quality, None) == {"limb_reversal_suspected"}


def test_a_wandering_baseline_is_named() -> None:
    quality = check_quality(changed("V4", 1.5 * np.sin(2 * np.pi * 0.2 * TIMES_S), added=True))
    assert codes(quality, "V4") == {"baseline_wander"}


def test_a_jump_is_an_artefact() -> None:
    jump = np.where((TIMES_S > 4) & (TIMES_S < 4.3), 8.0, 0.0)
    assert "artefact" in codes(check_quality(changed("V6", jump, added=True)), "V6")


def test_a_short_recording_is_limited() -> None:
    quality = check_quality(beats(duration_s=6.0))
    assert quality.verdict == "limited"
    assert codes(quality, None) == {"short"}


def test_leads_that_follow_from_others_are_not_missing() -> None:
    plain = beats()
    rows = [STANDARD_LEADS.index(name) for name in MODEL_LEADS]
    assert check_quality(Recording(plain.signal_mv[rows], 500, MODEL_LEADS)) == Quality("good")


def test_a_missing_chest_lead_is_named() -> None:
    plain = beats()
    quality = check_quality(Recording(plain.signal_mv[:-1], 500, plain.leads[:-1]))
    assert codes(quality, "V6") == {"missing_lead"}


NOTHING = {
    "zeros": np.zeros((12, 5000)),
    "rails": np.full((12, 5000), -80.0),
    "independent noise": WHITE,
    "the same noise in all leads": np.repeat(WHITE[:1], 12, axis=0),
    "random walks": np.cumsum(0.1 * WHITE, axis=1),
    "a slow sine": np.repeat(np.sin(2 * np.pi * 1.2 * TIMES_S)[None], 12, axis=0),
    "nothing but hum": np.repeat(np.sin(2 * np.pi * 50 * TIMES_S)[None], 12, axis=0),
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_holds_no_heart_is_unusable(name: str) -> None:
    recording = Recording(NOTHING[name].astype(np.float32), 500, STANDARD_LEADS)
    assert check_quality(recording).verdict == "unusable"


def coloured(exponent: float, seed: int) -> npt.NDArray[np.float64]:
    """One lead of noise whose power falls with this power of the frequency; 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=5000))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** (exponent / 2)
    noise = np.fft.irfft(spectrum)
    return np.asarray(noise / noise.std())


@given(
    st.sampled_from([0.0, 1.0, 2.0]), st.integers(0, 2**32), st.sampled_from([0.05, 0.2, 0.5, 3.0]), st.floats(0.1, 3.0)
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_clipped_noise_is_unusable(exponent: float, seed: int, clip: float, size_mv: float) -> None:
    for leads in ([coloured(exponent, seed)] * 12, [coloured(exponent, seed + lead) for lead in range(12)]):
        signal_mv = size_mv * np.clip(np.stack(leads), -clip, clip)
        assert check_quality(Recording(signal_mv.astype(np.float32), 500, STANDARD_LEADS)).verdict == "unusable"


@given(st.floats(0.3, 60.0), st.sampled_from([np.sin, square, sawtooth]), st.floats(0.1, 3.0), st.booleans())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_tones_are_unusable(hertz: float, wave: Wave, size_mv: float, alike: bool) -> None:
    phases = np.zeros(12) if alike else np.random.default_rng(0).uniform(0, 2 * np.pi, 12)
    signal_mv = size_mv * wave(2 * np.pi * hertz * TIMES_S + phases[:, None])
    assert check_quality(Recording(signal_mv.astype(np.float32), 500, STANDARD_LEADS)).verdict == "unusable"


@given(st.sampled_from(["muscle", "paced muscle", "steps", "telegraph", "square", "sawtooth"]), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_bursts_and_jumps_are_unusable(family: str, seed: int) -> None:
    signal_mv = heartless(family, seed, leads=12, sampling_hz=250.0).astype(np.float32)
    assert check_quality(Recording(signal_mv, 250, STANDARD_LEADS)).verdict == "unusable"


@pytest.mark.parametrize("a_second", [50, 60])
def test_spikes_from_the_mains_are_unusable(a_second: int) -> None:
    signal_mv = np.zeros((12, 5000), np.float32)
    signal_mv[:, (np.arange(10 * a_second) * 500 / a_second).astype(int)] = 1.0
    assert check_quality(Recording(signal_mv, 500, STANDARD_LEADS)).verdict == "unusable"


def test_the_rule_of_the_labelled_records_can_be_left_out_and_the_others_hold() -> None:
    recording = beats()
    recording.signal_mv[-2:] = np.cumsum(WHITE[:2], axis=1)
    assert check_quality(recording).verdict == "unusable"
    assert check_quality(recording, acceptable_from=0.0).verdict == "limited"
    assert check_quality(Recording(WHITE, 500, STANDARD_LEADS), acceptable_from=0.0).verdict == "unusable"


def test_copies_of_one_lead_are_no_twelve_leads() -> None:
    lead = beats().signal_mv[1]
    sizes = np.linspace(0.5, 1.5, 12, dtype=np.float32)[:, None]
    assert check_quality(Recording(sizes * lead, 500, STANDARD_LEADS)).verdict == "unusable"


@pytest.mark.parametrize("samples", [1, 2, 7, 60])
def test_a_few_samples_do_no_harm(samples: int) -> None:
    assert check_quality(Recording(WHITE[:, :samples], 500, STANDARD_LEADS)).verdict == "unusable"


def test_leads_by_other_names_are_assessed_under_them() -> None:
    plain = beats()
    quality = check_quality(Recording(plain.signal_mv[:2], 500, ("ECG1", "ECG2")))
    assert quality.poor_leads == frozenset()
    assert {issue.code for issue in quality.issues} == {"missing_lead"}


def test_a_long_recording_is_not_condemned_for_one_bad_second() -> None:
    recording = beats(duration_s=60.0)
    recording.signal_mv[:, 5000:5500] += 20.0
    assert check_quality(recording).verdict != "unusable"


@pytest.mark.real
def test_the_verdict_agrees_with_readers_on_the_challenge_of_2011(ecg_data: Path) -> None:
    folder = ecg_data / "cinc2011-quality"
    with (folder / "labels.csv").open(newline="") as file:
        labels = {row["record"]: row["acceptable"] == "1" for row in csv.DictReader(file)}
    said = [check_quality(read_record(folder / f"{name}.hea")).verdict != "unusable" for name in labels]
    assert np.mean(np.array(said) == np.array(list(labels.values()))) >= 0.90


@pytest.mark.real
@pytest.mark.parametrize(("folder", "limit"), [("ptb-xl/records500", 0.01), ("ludb/data", 0.0)])
def test_records_that_cardiologists_read_are_not_refused(ecg_data: Path, folder: str, limit: float) -> None:
    headers = sorted((ecg_data / folder).rglob("*.hea"))
    refused = [check_quality(read_record(path)).verdict == "unusable" for path in headers]
    assert np.mean(refused) <= limit
