"""Spikes are seen where the rate shows them, and R waves are not taken for spikes."""

import numpy as np
import pytest

from model.signal.pacing import count_spikes, shows_pacing
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
    assert shows_pacing(paced(sampling_hz))
    assert count_spikes(paced(sampling_hz)) == len(r_peaks_ms())


@pytest.mark.parametrize("sampling_hz", [100.0, 500.0, 1000.0, 2000.0])
def test_beats_alone_are_not(sampling_hz: float) -> None:
    assert not shows_pacing(beats(sampling_hz=sampling_hz))


def test_noise_is_not() -> None:
    noise = np.random.default_rng(1).normal(0, 0.5, (12, 5000)).astype(np.float32)
    assert not shows_pacing(Recording(noise, 500, beats().leads))


def test_slow_sampling_says_nothing() -> None:
    assert not shows_pacing(paced(250.0))


def test_spikes_that_point_down_count_as_those_that_point_up() -> None:
    assert count_spikes(paced(500.0, height_mv=-1.0)) == count_spikes(paced(500.0)) == len(r_peaks_ms())


def test_a_rate_that_cannot_show_a_spike_has_none() -> None:
    assert count_spikes(paced(100.0)) == 0


def test_a_handful_of_samples_does_no_harm() -> None:
    assert count_spikes(Recording(np.ones((2, 5), np.float32), 500, ("I", "II"))) == 0
