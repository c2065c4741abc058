"""A recording to windows: the same at any rate, zero phase, dead leads masked, short ones padded, long ones cut."""

import time

import numpy as np
import pytest
from scipy import signal as dsp

from model.errors import MissingLeadError, TooShortError
from model.signal.leads import MODEL_LEADS, STANDARD_LEADS
from model.signal.preprocess import band_limit, preprocess
from model.signal.recording import Recording
from model.signal.spec import SPEC
from tests.model.synthetic import beats, r_peaks_ms


@pytest.mark.parametrize("sampling_hz", [100, 200, 257, 360, 1000, 2000])
def test_windows_are_the_same_at_any_rate(sampling_hz: float) -> None:
    """Within 60 uV everywhere (100 Hz holds nothing above 50 Hz) and 10 uV as a rule."""
    expected = preprocess(beats(noise_mv=0.0), SPEC).signal_mv[0]
    found = preprocess(beats(noise_mv=0.0, sampling_hz=sampling_hz), SPEC).signal_mv[0]
    apart = np.abs(found - expected)[:, 125:-125]
    assert apart.max() < 0.06
    assert np.median(apart) < 0.01


def test_the_filter_moves_nothing_in_time() -> None:
    window = preprocess(beats(noise_mv=0.0), SPEC).signal_mv[0]
    lead = window[MODEL_LEADS.index("V5")]
    for peak_ms in r_peaks_ms():
        around = round(peak_ms / 4) + np.arange(-15, 16)
        assert abs(int(around[lead[around].argmax()]) * 4 - peak_ms) <= 4


def test_baseline_and_mains_are_removed_and_the_height_of_r_stays() -> None:
    plain = beats(noise_mv=0.0)
    times_s = np.arange(plain.signal_mv.shape[1]) / 500
    noise = 0.8 * np.sin(2 * np.pi * 0.15 * times_s) + 0.3 * np.sin(2 * np.pi * 50 * times_s) + 2.0
    noisy = Recording(plain.signal_mv + noise.astype(np.float32), 500, plain.leads)
    clean, filtered = (preprocess(one, SPEC).signal_mv[0][:, 250:-250] for one in (plain, noisy))
    assert np.abs(filtered - clean).max() < 0.1
    row = MODEL_LEADS.index("V5")
    assert filtered[row].max() == pytest.approx(1.4, abs=0.2)


def test_rows_come_in_the_order_of_the_model_whatever_the_order_sent() -> None:
    plain = beats()
    order = np.random.default_rng(0).permutation(12)
    mixed = Recording(plain.signal_mv[order], 500, tuple(plain.leads[row].upper() for row in order))
    np.testing.assert_allclose(preprocess(mixed, SPEC).signal_mv, preprocess(plain, SPEC).signal_mv, atol=1e-6)


def test_lead_i_is_derived_where_two_other_limb_leads_are_there() -> None:
    plain = beats()
    rows = [row for row, name in enumerate(STANDARD_LEADS) if name not in {"I", "aVR", "aVL"}]
    fewer = Recording(plain.signal_mv[rows], 500, tuple(STANDARD_LEADS[row] for row in rows))
    np.testing.assert_allclose(preprocess(fewer, SPEC).signal_mv, preprocess(plain, SPEC).signal_mv, atol=1e-4)


def test_a_missing_chest_lead_is_named_and_refused() -> None:
    plain = beats()
    with pytest.raises(MissingLeadError, match="V6"):
        preprocess(Recording(plain.signal_mv[:-1], 500, plain.leads[:-1]), SPEC)


def test_a_flat_lead_is_masked_and_named() -> None:
    recording = beats()
    recording.signal_mv[recording.leads.index("V2")] = 0.3
    windows = preprocess(recording, SPEC)
    assert windows.dead_leads == ("V2",)
    assert not windows.signal_mv[:, MODEL_LEADS.index("V2")].any()


def test_a_lead_known_to_be_dead_is_masked() -> None:
    windows = preprocess(beats(), SPEC, dead_leads=("V4",))
    assert windows.dead_leads == ("V4",)
    assert not windows.signal_mv[:, MODEL_LEADS.index("V4")].any()


def test_a_short_recording_is_padded_with_zeros_at_the_end() -> None:
    windows = preprocess(beats(duration_s=7.0), SPEC)
    assert windows.padded_s == pytest.approx(3.0)
    assert windows.signal_mv.shape == (1, 8, 2500)
    assert not windows.signal_mv[0, :, 1750:].any()
    assert windows.signal_mv[0, :, :1750].any()


def test_under_five_seconds_is_refused() -> None:
    with pytest.raises(TooShortError, match=r"4\.90 s"):
        preprocess(beats(duration_s=4.9), SPEC)


@pytest.mark.parametrize(
    ("duration_s", "starts_s"),
    [(10.0, (0.0,)), (12.0, (0.0, 2.0)), (20.0, (0.0, 5.0, 10.0)), (21.5, (0.0, 5.0, 10.0, 11.5))],
)
def test_long_recordings_are_cut_every_five_seconds_to_the_very_end(
    duration_s: float, starts_s: tuple[float, ...]
) -> None:
    windows = preprocess(beats(duration_s=duration_s), SPEC)
    assert windows.starts_s == starts_s
    assert windows.padded_s == 0
    assert len(windows.signal_mv) == len(starts_s)


def test_artefacts_are_cut_at_the_clip() -> None:
    recording = beats()
    recording.signal_mv[0, 2500:2600] = 500.0
    assert np.abs(preprocess(recording, SPEC).signal_mv).max() <= SPEC.clip_mv


def test_the_band_is_that_of_scipys_filter_run_forward_and_back() -> None:
    """Within 0.5 uV as a rule and 5 uV at the ends, where scipy holds what the first of its passes ended on."""
    signal_mv = beats(sampling_hz=250).signal_mv
    high = dsp.butter(2, SPEC.highpass_hz, "highpass", fs=250, output="sos")
    low = dsp.butter(4, SPEC.lowpass_hz, "lowpass", fs=250, output="sos")
    theirs = dsp.sosfiltfilt(np.vstack([high, low]), signal_mv, axis=-1, padlen=500)
    apart = np.abs(band_limit(signal_mv, 250, SPEC) - theirs)
    assert np.median(apart) < 5e-4
    assert apart.max() < 5e-3


def test_both_ends_are_treated_alike() -> None:
    signal_mv = beats(sampling_hz=250).signal_mv
    there, back = band_limit(signal_mv, 250, SPEC), band_limit(signal_mv[:, ::-1], 250, SPEC)[:, ::-1]
    np.testing.assert_allclose(back, there, atol=1e-5)


@pytest.mark.parametrize("samples", [2503, 74_999, 75_011])
def test_lengths_without_small_factors_are_no_slower(samples: int) -> None:
    rng = np.random.default_rng(0)
    signal_mv = rng.normal(0, 0.1, (8, samples)).astype(np.float32)
    spent_s = []
    for _ in range(3):
        began = time.process_time()
        assert band_limit(signal_mv, 250, SPEC).shape == signal_mv.shape
        spent_s.append(time.process_time() - began)
    assert min(spent_s) < 5e-6 * samples + 0.02
