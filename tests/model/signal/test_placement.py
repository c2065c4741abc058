"""Swapped electrodes are suspected, and electrodes in their places are not."""

import numpy as np
import pytest

from model.signal.leads import LIMB_ALGEBRA, STANDARD_LEADS
from model.signal.quality import Quality, check_quality
from model.signal.recording import Recording
from tests.model.synthetic import beats

# I and II after a swap, as (a, b) in a * I + b * II of the electrodes in their places.
SWAPS = {
    "right arm and left arm": ((-1.0, 0.0), (-1.0, 1.0)),
    "right arm and left leg": ((1.0, -1.0), (0.0, -1.0)),
    "right arm and right leg": ((1.0, -1.0), (0.0, 0.02)),
}


def limbs_swapped(recording: Recording, swap: str) -> Recording:
    """The recording with its limb leads as the swapped electrodes would give them."""
    one, two = recording.signal_mv[0], recording.signal_mv[1]
    new_one, new_two = (a * one + b * two for a, b in SWAPS[swap])
    limbs = np.stack([a * new_one + b * new_two for a, b in LIMB_ALGEBRA.values()])
    return Recording(np.vstack([limbs, recording.signal_mv[6:]]), recording.sampling_hz, recording.leads)


def chest_swapped(recording: Recording, first: str, second: str) -> Recording:
    names = {first: second, second: first}
    return Recording(
        recording.signal_mv, recording.sampling_hz, tuple(names.get(name, name) for name in recording.leads)
    )


def codes(recording: Recording) -> set[str]:
    return {issue.code for issue in check_quality(recording).issues}


def test_electrodes_in_their_places_are_not_suspected() -> None:
    assert check_quality(beats()) == Quality("good")


@pytest.mark.parametrize("swap", SWAPS)
@pytest.mark.parametrize("sampling_hz", [100.0, 500.0])
def test_swapped_limb_electrodes_are_suspected(swap: str, sampling_hz: float) -> None:
    recording = limbs_swapped(beats(noise_mv=0.001, sampling_hz=sampling_hz), swap)
    assert codes(recording) == {"limb_reversal_suspected"}
    assert check_quality(recording).verdict == "limited"


@pytest.mark.parametrize(("first", "second"), [("V1", "V3"), ("V1", "V6"), ("V2", "V5"), ("V2", "V4")])
def test_swapped_chest_electrodes_are_suspected(first: str, second: str) -> None:
    assert "precordial_order_suspected" in codes(chest_swapped(beats(), first, second))


def test_without_v6_nothing_is_suspected() -> None:
    plain = limbs_swapped(beats(), "right arm and left arm")
    assert codes(Recording(plain.signal_mv[:-1], 500, STANDARD_LEADS[:-1])) == {"missing_lead"}


def test_a_lead_of_noise_does_not_raise_a_suspicion() -> None:
    recording = beats()
    recording.signal_mv[11] = np.random.default_rng(0).normal(0, 0.4, 5000)
    assert codes(recording) == {"noise"}
