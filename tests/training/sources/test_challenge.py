from pathlib import Path

import pytest

from model.reading.statements import VOCABULARY
from tests.training.ecg_folders import noise, write_record
from training.errors import TrainingError
from training.sources import find_source, open_source
from training.sources.catalogue import Entry
from training.sources.challenge import USED, known_of, statements_of


def test_codes_that_were_scored_as_one_are_one() -> None:
    assert statements_of(["59118001"]) == {"RBBB", "CRBBB"}
    assert statements_of(["713427006"]) == {"RBBB", "CRBBB"}
    assert statements_of(["63593006", "164889003"]) == {"PAC", "SVPB", "AF"}
    assert statements_of(["164884008"]) == {"PVC", "VPB"}


def test_codes_outside_the_vocabulary_or_of_several_statements_state_nothing() -> None:
    assert statements_of(["428750005", "164865005"]) == frozenset()


def test_what_a_database_never_uses_is_unknown_in_its_records() -> None:
    assert "SB" not in known_of("A0001", frozenset())
    assert "SB" in known_of("E00001", frozenset())
    assert known_of("X1", frozenset()) == frozenset()


def test_sinus_rhythm_is_not_absent_where_a_kind_of_it_is_stated() -> None:
    assert "NSR" in known_of("JS00001", frozenset({"AF"}))
    assert "NSR" not in known_of("JS00001", frozenset({"SB"}))
    assert "NSR" in known_of("JS00001", frozenset({"SB", "NSR"}))


def test_every_statement_of_a_database_is_in_the_vocabulary() -> None:
    assert frozenset().union(*USED.values()) <= VOCABULARY.keys()


def test_headers_give_diagnoses_age_and_sex(tmp_path: Path) -> None:
    comments = "#Age: 73\n#Sex: Female\n#Dx: 164890007,429622005\n"
    write_record(tmp_path / "g1", "E00001", noise(1), mat=True, comments=comments)
    write_record(tmp_path / "g1", "E00002", noise(2), mat=True)
    assert find_source(tmp_path) == "challenge"
    first, second = open_source("challenge", tmp_path).entries
    assert first.present == {"AFL", "STD"}
    assert (first.age, first.sex) == (73.0, "female")
    assert isinstance(second, Entry)
    assert second.known == frozenset()


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no WFDB header"):
        open_source("challenge", tmp_path)
