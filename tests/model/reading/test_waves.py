"""Waves and a pacemaker's spikes: what began in a spike's smear begins behind it, and nothing else moves."""

from dataclasses import replace

import numpy as np
import pytest

from model.reading.waves import SMEAR_MS, SPIKE_END_MS, Wave, behind_spikes

QRS = Wave("QRS", 1000.0, 1060.0, 1140.0, 0.9)


@pytest.mark.parametrize("spike_ms", [1000.0 - SPIKE_END_MS + 1, 1000.0, 1000.0 + SMEAR_MS - 1])
def test_a_qrs_in_the_smear_of_a_spike_begins_behind_it(spike_ms: float) -> None:
    moved = behind_spikes({"II": (QRS,)}, np.array([200.0, spike_ms, 2000.0]))
    assert moved == {"II": (replace(QRS, onset_ms=spike_ms + SPIKE_END_MS),)}


@pytest.mark.parametrize(
    ("wave", "spike_ms"),
    [
        (QRS, 1000.0 + SMEAR_MS + 1),  # the spike comes later than what it could have smeared
        (QRS, 1000.0 - SPIKE_END_MS - 1),  # it is over
        (replace(QRS, peak_ms=1010.0), 1015.0),  # the QRS was there before
        (replace(QRS, wave="P"), 1010.0),
        (replace(QRS, wave="T"), 1010.0),
    ],
)
def test_other_waves_stay(wave: Wave, spike_ms: float) -> None:
    assert behind_spikes({"II": (wave,)}, np.array([spike_ms])) == {"II": (wave,)}


def test_without_spikes_nothing_moves() -> None:
    waves = {"I": (QRS,), "II": ()}
    assert behind_spikes(waves, np.empty(0)) is waves
