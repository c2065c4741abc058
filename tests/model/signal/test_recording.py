"""A recording is checked once, at construction."""

import numpy as np
import pytest

from model.errors import DuplicateLeadError, NotFiniteError, RateError, ShapeError
from model.signal.recording import Recording

GOOD = np.zeros((2, 1000), np.float32)


def test_names_are_spelled_the_standard_way_and_samples_are_float32() -> None:
    recording = Recording(np.zeros((2, 1000), np.float64), 500, ("avr", "Lead II"))
    assert recording.leads == ("aVR", "II")
    assert recording.signal_mv.dtype == np.float32
    assert recording.duration_s == 2.0


@pytest.mark.parametrize("shape", [(2,), (0, 10), (2, 0), (3, 10)])
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError):
        Recording(np.zeros(shape, np.float32), 500, ("I", "II"))


@pytest.mark.parametrize("sampling_hz", [0.0, -500.0, 99.9, 2000.1, float("nan"), float("inf")])
def test_rates_outside_100_to_2000_hz_are_refused(sampling_hz: float) -> None:
    with pytest.raises(RateError):
        Recording(GOOD, sampling_hz, ("I", "II"))


@pytest.mark.parametrize("sampling_hz", [100.0, 2000.0])
def test_the_limits_of_the_rate_are_accepted(sampling_hz: float) -> None:
    assert Recording(GOOD, sampling_hz, ("I", "II")).sampling_hz == sampling_hz


def test_a_lead_under_two_spellings_is_a_duplicate() -> None:
    with pytest.raises(DuplicateLeadError):
        Recording(GOOD, 500, ("avf", "aVF"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_single_sample_that_is_no_number_is_refused_and_not_filled_in(bad: float) -> None:
    signal_mv = GOOD.copy()
    signal_mv[1, 500] = bad
    with pytest.raises(NotFiniteError, match="1 of 2 leads"):
        Recording(signal_mv, 500, ("I", "II"))
