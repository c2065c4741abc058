"""Beats are cut where they are steep, and told from what does not repeat itself or does not come back."""

import numpy as np
import numpy.typing as npt

from model.signal.beat_shape import RATE_HZ, beats_of_a_heart, cut_beats, median_beat
from tests.model.synthetic import beats

Array = npt.NDArray[np.float32]


def simulated(duration_s: float = 10.0) -> Array:
    return beats(sampling_hz=RATE_HZ, duration_s=duration_s).signal_mv


def told(signal_mv: Array) -> bool:
    cut = cut_beats(signal_mv)
    assert cut is not None
    return beats_of_a_heart(cut, median_beat(cut))


def test_every_whole_beat_is_cut_and_the_median_is_one_of_them() -> None:
    cut = cut_beats(simulated())
    assert cut is not None
    assert cut.shape == (12, 75, 12)
    np.testing.assert_allclose(median_beat(cut), cut[:, :, 0], atol=0.05)


def test_too_few_beats_are_not_cut() -> None:
    assert cut_beats(simulated(2.0)) is None


def test_a_hearts_beats_are_a_hearts() -> None:
    assert told(simulated())


def test_every_fourth_beat_may_be_another_and_a_third_of_the_leads_may_be_noise() -> None:
    signal_mv = simulated()
    for beat in range(3, 12, 4):
        signal_mv[:, beat * 80 + 20 : beat * 80 + 60] *= -1.5
    signal_mv[8:] = np.random.default_rng(0).normal(0, 0.2, signal_mv[8:].shape)
    assert told(signal_mv)


def test_bursts_are_not() -> None:
    away = (np.arange(1000) % 80 - 40) / 5
    noise = np.random.default_rng(0).normal(size=(12, 1000))
    assert not told((noise * np.exp(-(away**2))).astype(np.float32))


def test_edges_are_not() -> None:
    level = np.where(np.arange(1000) // 80 % 2, 1.0, -1.0)
    noise = np.random.default_rng(0).normal(0, 0.01, (12, 1000))
    assert not told((level + noise).astype(np.float32))
