"""An answer that contradicts itself says so; one that does not says nothing."""

import pytest

from model.reading.consistency import DEFINED, EXCLUDED_BY_NORMAL, NUMBERS, WITH_P, WITHOUT_P, contradictions
from model.reading.findings import Finding
from model.reading.measurements import MEASUREMENTS, Measurement
from model.reading.statements import VOCABULARY

USUAL = {
    "heart_rate_bpm": 70.0,
    "pr_ms": 160.0,
    "qrs_ms": 95.0,
    "qtc_fridericia_ms": 410.0,
    "qrs_axis_deg": 40.0,
}


def found(*present: str, absent: tuple[str, ...] = ("LQT",)) -> list[Finding]:
    there = [Finding(VOCABULARY[key], 0.9, 0.5, present=True) for key in present]
    return there + [Finding(VOCABULARY[key], 0.1, 0.5, present=False) for key in absent if key not in present]


def measured(**values: float) -> dict[str, Measurement]:
    return {name: Measurement(value) for name, value in (dict.fromkeys(MEASUREMENTS, 1.0) | USUAL | values).items()}


def without_p() -> dict[str, Measurement]:
    return measured() | {"pr_ms": Measurement(None, absent="no_p_wave")}


def said(*present: str, **values: float) -> list[str]:
    return list(contradictions(found(*present), measured(**values)))


def test_a_plain_answer_says_nothing() -> None:
    assert said("NORM", "NSR") == []


@pytest.mark.parametrize("key", sorted(EXCLUDED_BY_NORMAL - set(WITHOUT_P)))
def test_a_normal_ecg_beside_a_disease_is_said(key: str) -> None:
    (sentence,) = said("NORM", key)
    assert sentence == f"Normal ECG is found beside {VOCABULARY[key].name}; only one can hold."


def test_a_normal_ecg_with_a_conduction_disturbance_is_none() -> None:
    assert said("NORM", "CD", "IRBBB") == []


@pytest.mark.parametrize(
    ("key", "values", "contradicts"),
    [
        ("SB", {"heart_rate_bpm": 64.0}, False),
        ("SB", {"heart_rate_bpm": 66.0}, True),
        ("STach", {"heart_rate_bpm": 94.0}, True),
        ("IAVB", {"pr_ms": 191.0}, False),
        ("IAVB", {"pr_ms": 189.0}, True),
        ("IAVB", {"pr_ms": 260.0}, False),
        ("CLBBB", {"qrs_ms": 105.0}, True),
        ("CRBBB", {"qrs_ms": 150.0}, False),
        ("LAD", {"qrs_axis_deg": -45.0}, False),
        ("LAD", {"qrs_axis_deg": -2.0}, False),
        ("LAD", {"qrs_axis_deg": 2.0}, True),
        ("LAD", {"qrs_axis_deg": 179.0}, True),
        ("RAD", {"qrs_axis_deg": -175.0}, False),
        ("RAD", {"qrs_axis_deg": -100.0}, True),
        ("LQT", {"qtc_fridericia_ms": 420.0}, True),
        ("LQT", {"qtc_fridericia_ms": 520.0}, False),
    ],
)
def test_a_statement_is_held_to_what_defines_it(key: str, values: dict[str, float], contradicts: bool) -> None:
    assert bool(said(key, **values)) == contradicts


def test_the_sentence_gives_the_number() -> None:
    assert said("LAD", qrs_axis_deg=12.3) == [
        "Left axis deviation is found, yet the QRS axis is 12 degrees; check both.",
    ]


@pytest.mark.parametrize("key", WITHOUT_P)
def test_p_waves_where_there_can_be_none_are_said(key: str) -> None:
    assert any("P waves were measured" in one for one in said(key))
    assert list(contradictions(found(key), without_p())) == []


def test_a_block_that_lengthens_pr_without_a_p_wave_is_said_once() -> None:
    (sentence,) = contradictions(found(*WITH_P), without_p())
    assert sentence.startswith("1st degree AV block is found, yet no P wave")


def test_a_long_qtc_that_no_finding_mentions_is_said() -> None:
    assert said(qtc_fridericia_ms=499.0) == []
    assert said(qtc_fridericia_ms=512.0) == [
        "QTc (Fridericia) is 512 ms, yet no prolonged QT interval is found; check both."
    ]
    assert list(contradictions([], measured(qtc_fridericia_ms=512.0))) == []


def test_what_was_not_asked_for_or_measured_contradicts_nothing() -> None:
    absent = {name: Measurement(None, absent="too_few_beats") for name in MEASUREMENTS}
    assert list(contradictions(found(*DEFINED), absent)) == []
    assert list(contradictions(found("LAD", "AF"), None)) == []
    assert len(list(contradictions(found("NORM", "MI"), None))) == 1


def test_every_key_is_of_the_vocabulary_and_every_number_is_measured() -> None:
    assert {*DEFINED, *EXCLUDED_BY_NORMAL, *WITHOUT_P, *WITH_P} <= VOCABULARY.keys()
    assert {number for number, _, _ in DEFINED.values()} <= NUMBERS.keys() <= set(MEASUREMENTS)
