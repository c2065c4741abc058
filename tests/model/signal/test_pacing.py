"""Spikes are seen where the rate shows them, and R waves are not taken for spikes."""

import numpy as np
import pytest

from model.signal.pacing import PIECE_S, find_pacing_ms
from model.signal.recording import Recording
from tests.model.synthetic import beats, r_peaks_ms


def paced(sampling_hz: float, *, height_mv: float = 1.0) -> Recording:
    """Beats with a spike of 2 ms before each QRS."""
    recording = beats(sampling_hz=sampling_hz)
    for peak_ms in r_peaks_ms():
        at = round((peak_ms - 60) * sampling_hz / 1000)
        recording.signal_mv[:, at : at + max(1, round(0.002 * sampling_hz))] += height_mv
    return recording


@pytest.mark.parametrize("sampling_hz", [500.0, 1000.0])
def test_a_spike_before_each_beat_is_pacing(sampling_hz: float) -> None:
    np.testing.assert_allclose(find_pacing_ms(paced(sampling_hz)), r_peaks_ms() - 60.0, atol=2.0)


@pytest.mark.parametrize("sampling_hz", [100.0, 500.0, 1000.0, 2000.0])
def test_beats_alone_are_not(sampling_hz: float) -> None:
    assert len(find_pacing_ms(beats(sampling_hz=sampling_hz))) == 0


def test_noise_is_not() -> None:
    noise = np.random.default_rng(1).normal(0, 0.5, (12, 5000)).astype(np.float32)
    assert len(find_pacing_ms(Recording(noise, 500, beats().leads))) == 0


def test_slow_sampling_says_nothing() -> None:
    assert len(find_pacing_ms(paced(250.0))) == 0


def test_spikes_that_point_down_count_as_those_that_point_up() -> None:
    np.testing.assert_array_equal(find_pacing_ms(paced(500.0, height_mv=-1.0)), find_pacing_ms(paced(500.0)))


def test_a_rate_that_cannot_show_a_spike_has_none() -> None:
    assert len(find_pacing_ms(paced(100.0))) == 0


def test_a_few_spikes_are_not_a_paced_heart() -> None:
    recording = beats()
    recording.signal_mv[:, [700, 2100, 3300]] += 1.0
    assert len(find_pacing_ms(recording)) == 0


def test_a_long_recording_has_every_spike_once() -> None:
    short = paced(500.0)
    times = round(2 * PIECE_S / short.duration_s) + 1
    long = Recording(np.tile(short.signal_mv, times), 500.0, short.leads)
    begins_ms = 1000.0 * short.duration_s * np.arange(times)[:, None]
    np.testing.assert_allclose(find_pacing_ms(long), (begins_ms + find_pacing_ms(short)).ravel())


def test_a_handful_of_samples_does_no_harm() -> None:
    assert len(find_pacing_ms(Recording(np.ones((2, 5), np.float32), 500, ("I", "II")))) == 0


def with_spikes(shape_mv: list[float], *, before_ms: float = 60.0) -> Recording:
    """Beats with a spike of this shape before each QRS, of another height in every lead."""
    recording = beats()
    heights = np.linspace(-1.0, 1.0, 12, dtype=np.float32)[:, None]
    for peak_ms in r_peaks_ms():
        at = round((peak_ms - before_ms) / 2)
        recording.signal_mv[:, at : at + len(shape_mv)] += heights * np.array(shape_mv, np.float32)
    return recording


@pytest.mark.parametrize(
    "shape_mv", [(1.0 * np.exp(-np.arange(20) / 6)).tolist(), [0.6] * 10 + np.linspace(0.6, 0.0, 8).tolist()]
)
def test_a_spike_with_a_tail_is_one(shape_mv: list[float]) -> None:
    np.testing.assert_allclose(find_pacing_ms(with_spikes(shape_mv)), r_peaks_ms() - 60.0, atol=2.0)


def test_a_jump_within_a_qrs_is_none() -> None:
    assert len(find_pacing_ms(with_spikes([1.0, 0.0], before_ms=4.0))) == 0


def test_jumps_that_point_another_way_each_time_are_none() -> None:
    recording = beats()
    random = np.random.default_rng(2)
    for peak_ms in r_peaks_ms():
        recording.signal_mv[:, round((peak_ms - 60.0) / 2)] += random.normal(0, 1.0, 12).astype(np.float32)
    assert len(find_pacing_ms(recording)) == 0
