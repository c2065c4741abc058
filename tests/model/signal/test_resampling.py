"""Resampling is scipy's, at any ratio, length and offset."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from scipy import signal as dsp

from model.signal.resampling import resample
from tests.model.synthetic import beats


def scipys(signal_mv: npt.NDArray[np.float32], from_hz: float, to_hz: float) -> npt.NDArray[np.float64]:
    ratio = Fraction(to_hz / from_hz).limit_denominator(2000)
    return np.asarray(
        dsp.resample_poly(signal_mv.astype(np.float64), ratio.numerator, ratio.denominator, axis=-1, padtype="line")
    )


@pytest.mark.parametrize("to_hz", [100.0, 250.0, 500.0])
@pytest.mark.parametrize("from_hz", [100.0, 128.0, 257.0, 360.0, 500.0, 977.0, 1000.0, 333.1, 2000.0])
def test_resampling_is_scipys(from_hz: float, to_hz: float) -> None:
    signal_mv = beats(sampling_hz=from_hz, duration_s=7).signal_mv
    found = resample(signal_mv, from_hz, to_hz)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, scipys(signal_mv, from_hz, to_hz), atol=2e-5)


@pytest.mark.parametrize("samples", [2, 3, 31, 160, 161, 74_999])
@pytest.mark.parametrize("from_hz", [360.0, 500.0, 333.1])
def test_any_number_of_samples(samples: int, from_hz: float) -> None:
    signal_mv = np.random.default_rng(samples).normal(0, 0.3, (2, samples)).cumsum(axis=1).astype(np.float32)
    found = resample(signal_mv, from_hz, 100)
    np.testing.assert_allclose(found, scipys(signal_mv, from_hz, 100), rtol=1e-5, atol=5e-5)


def test_an_offset_stays_an_offset() -> None:
    shifted = beats().signal_mv + np.float32(100)
    np.testing.assert_allclose(resample(shifted, 500, 250) - 100, resample(beats().signal_mv, 500, 250), atol=5e-5)


def test_the_rate_it_has_costs_nothing() -> None:
    signal_mv = beats().signal_mv
    assert resample(signal_mv, 500, 500) is signal_mv


@pytest.mark.parametrize("from_hz", [360.0, 500.0])
def test_a_single_sample_stays_what_it_is(from_hz: float) -> None:
    np.testing.assert_array_equal(resample(np.full((3, 1), 0.7, np.float32), from_hz, 100), np.float32(0.7))
