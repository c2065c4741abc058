"""Waves of any leads: long recordings as short ones, names and units as they come."""

import numpy as np
import numpy.typing as npt
import pytest

from model.lead_reader import WINDOWS_AT_ONCE, LeadReader
from model.reading.waves import Waves
from model.signal.recording import Note, Recording
from model.signal.spec import SPEC


class Spikes:
    """Calls 80 ms around every upright spike a QRS, and what lies 200 to 360 ms after it a T."""

    def __init__(self) -> None:
        self.largest: tuple[int, ...] = (0, 0, 0)

    def run(self, windows: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.generic]]:
        """A frame every 8 ms."""
        self.largest = max(self.largest, windows.shape)
        high = windows[..., ::2] > 0.1
        label = np.zeros(high.shape, np.uint8)
        distance = np.zeros((*high.shape[:2], 2, high.shape[2]), np.int8)
        for window, lead in np.ndindex(high.shape[:2]):
            for frame in np.flatnonzero(high[window, lead] & ~np.roll(high[window, lead], 1)).tolist():
                label[window, lead, max(frame - 5, 0) : frame + 5] = 2
                label[window, lead, frame + 25 : frame + 45] = 3
        return {
            "wave_label": label,
            "wave_probability": np.full(high.shape, 250, np.uint8),
            "wave_distance": distance,
        }


def spiky(duration_s: float, hz: float = 250.0, *, leads: tuple[str, ...] = ("", "b"), scale: float = 1.0) -> Recording:
    """A spike of 40 ms every 800 ms from 0.5 s on."""
    times_s = np.arange(round(duration_s * hz)) / hz
    spike = np.exp(-(((times_s - 0.5 + 0.4) % 0.8 - 0.4) ** 2) / (2 * 0.012**2))
    notes: tuple[Note, ...] = () if scale == 1.0 else ("gain_by_format",)
    return Recording(np.tile(spike * scale, (len(leads), 1)).astype(np.float32), hz, leads, notes)


def waves_of(recording: Recording) -> Waves:
    return LeadReader(Spikes(), SPEC).waves(recording)


@pytest.mark.parametrize("hz", [125.0, 250.0, 360.0, 1000.0])
@pytest.mark.parametrize("duration_s", [4.0, 10.0, 23.3, 150.0])
def test_every_beat_is_found_once_at_its_time(hz: float, duration_s: float) -> None:
    for lead in waves_of(spiky(duration_s, hz)).values():
        peaks_ms = np.array([wave.peak_ms for wave in lead if wave.wave == "QRS"])
        expected_ms = np.arange(500.0, 1000.0 * duration_s - 100.0, 800.0)
        assert len(peaks_ms) == len(expected_ms)
        np.testing.assert_allclose(peaks_ms, expected_ms, atol=6.0)


def test_no_wave_touches_a_gap_and_the_others_stay() -> None:
    whole = spiky(30.0)
    missing = np.zeros(whole.signal_mv.shape, bool)
    missing[1, 7600 // 4 : 8000 // 4] = True  # of the second lead, from 7.6 s to 8 s
    gapped = Recording(whole.signal_mv, whole.sampling_hz, whole.leads, missing=missing)
    before, after = waves_of(whole), waves_of(gapped)
    first, second = whole.leads
    assert after[first] == before[first]
    lost = [wave for wave in before[second] if wave.offset_ms >= 7600.0 and wave.onset_ms < 8000.0]
    assert lost
    assert after[second] == tuple(wave for wave in before[second] if wave not in lost)


def test_a_long_recording_is_seen_a_few_windows_at_a_time() -> None:
    network = Spikes()
    LeadReader(network, SPEC).waves(spiky(600.0))
    assert network.largest[0] <= WINDOWS_AT_ONCE


def test_a_scale_that_the_file_does_not_give_does_not_matter() -> None:
    for scale in (1.0, 1e-3, 1e3):
        assert sum(wave.wave == "QRS" for wave in waves_of(spiky(20.0, scale=scale))["b"]) == 25


@pytest.mark.parametrize("samples", [1, 2, 40])
def test_a_recording_too_short_for_a_beat_has_none(samples: int) -> None:
    assert waves_of(Recording(np.ones((1, samples), np.float32), 250.0, ("x",))) == {"x": ()}


def test_a_flat_lead_has_no_waves() -> None:
    assert waves_of(Recording(np.zeros((2, 9000), np.float32), 250.0, ("x", "y"))) == {"x": (), "y": ()}
