"""Lead names in any spelling, and the algebra of the limb leads."""

from itertools import combinations

import numpy as np
import pytest

from model.signal.leads import LIMB_LEADS, STANDARD_LEADS, canonical_lead, derive_limb_leads, known_leads
from tests.model.synthetic import beats


@pytest.mark.parametrize("name", STANDARD_LEADS)
def test_a_name_is_read_in_any_case_with_and_without_the_word_lead(name: str) -> None:
    for spelled in (name, name.lower(), name.upper(), f" {name} ", f"Lead {name}", f"LEAD_{name.lower()}"):
        assert canonical_lead(spelled) == name


@pytest.mark.parametrize("name", ["MLII", "v7", "X", "Pleth", ""])
def test_other_names_stay_as_they_came(name: str) -> None:
    assert canonical_lead(name) == name


@pytest.mark.parametrize("pair", list(combinations(LIMB_LEADS, 2)))
def test_any_two_limb_leads_give_all_six(pair: tuple[str, str]) -> None:
    whole = beats()
    rows = [whole.leads.index(name) for name in pair]
    derived = derive_limb_leads(whole.signal_mv[rows], pair)
    assert set(derived) == set(LIMB_LEADS)
    for name in LIMB_LEADS:
        np.testing.assert_allclose(derived[name], whole.signal_mv[whole.leads.index(name)], atol=1e-5)


def test_one_limb_lead_derives_nothing() -> None:
    assert set(known_leads(np.ones((2, 10), np.float32), ("II", "V1"))) == {"II", "V1"}


def test_leads_that_are_present_are_passed_on_as_they_are() -> None:
    broken = np.arange(30, dtype=np.float32).reshape(3, 10)  # no Einthoven: III is not II - I
    known = known_leads(broken, ("I", "II", "III"))
    np.testing.assert_array_equal(known["III"], broken[2])
    assert set(known) == set(LIMB_LEADS)
