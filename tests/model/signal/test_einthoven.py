"""Limb leads that cannot be one heart's are named, and those that can are left alone."""

from itertools import combinations

import numpy as np
import pytest

from model.signal.einthoven import contradicting_leads
from model.signal.leads import CHEST_LEADS, LIMB_LEADS, STANDARD_LEADS
from model.signal.quality import check_quality
from model.signal.recording import Recording
from tests.model.synthetic import beats


def renamed(**names: str) -> Recording:
    """A recording whose leads bear other names."""
    plain = beats()
    return Recording(plain.signal_mv, plain.sampling_hz, tuple(names.get(lead, lead) for lead in plain.leads))


def scaled(by: dict[str, float]) -> Recording:
    plain = beats()
    gains = np.array([by.get(lead, 1.0) for lead in plain.leads], np.float32)
    return Recording(plain.signal_mv * gains[:, None], plain.sampling_hz, plain.leads)


def contradicting(recording: Recording) -> tuple[str, ...]:
    return contradicting_leads(recording.signal_mv, recording.leads)


def test_the_leads_of_one_heart_follow_from_each_other() -> None:
    assert contradicting(beats()) == ()
    assert contradicting(beats(noise_mv=0.1)) == ()


ALIKE = ({"I", "aVF"}, {"III", "aVL"})  # in the heart of these recordings
PAIRS = [pair for pair in combinations(LIMB_LEADS, 2) if set(pair) not in ALIKE]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_leads_that_bear_each_others_names_are_named_and_those_that_agree_are_believed(first: str, second: str) -> None:
    assert contradicting(renamed(**{first: second, second: first})) == (first, second)


def test_a_scale_of_its_own_is_told_beyond_what_carts_are_allowed() -> None:
    assert contradicting(scaled({"aVF": 1.5})) == ("aVF",)
    assert contradicting(scaled({"I": 0.95, "II": 1.05})) == ()
    assert contradicting(scaled({"I": 0.6, "II": 1.4})) == ("I", "II")
    assert contradicting(scaled({"I": 0.6, "II": 1.4, "aVL": 2.0})) == LIMB_LEADS


def test_an_offset_is_no_contradiction() -> None:
    plain = beats()
    shift = np.arange(12, dtype=np.float32)[:, None]
    assert contradicting(Recording(plain.signal_mv + shift, plain.sampling_hz, plain.leads)) == ()


@pytest.mark.parametrize("leads", [("I", "II", *CHEST_LEADS), ("V1",), ("aVR", "aVL", "V1")])
def test_two_limb_leads_or_fewer_cannot_contradict(leads: tuple[str, ...]) -> None:
    rows = [STANDARD_LEADS.index(lead) for lead in leads]
    assert contradicting_leads(scaled({"I": 3.0, "aVL": 0.2}).signal_mv[rows], leads) == ()


def test_any_three_limb_leads_are_held_to_the_law() -> None:
    leads = ("aVR", "aVL", "aVF")
    rows = [STANDARD_LEADS.index(lead) for lead in leads]
    assert contradicting_leads(beats().signal_mv[rows], leads) == ()
    assert contradicting_leads(scaled({"aVF": 2.0}).signal_mv[rows], leads) == leads


def test_the_quality_names_them_and_leaves_poor_leads_out() -> None:
    quality = check_quality(renamed(aVL="aVF", aVF="aVL"))
    assert quality.verdict == "limited"
    assert quality.contradicting_leads == {"aVL", "aVF"}
    assert {issue.code for issue in quality.issues} == {"contradicts_limb_leads"}
    assert quality.poor_leads == frozenset()
    torn = beats()
    torn.signal_mv[torn.leads.index("I")] = 0.0
    assert check_quality(torn).contradicting_leads == frozenset()
