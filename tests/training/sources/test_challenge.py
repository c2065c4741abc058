from pathlib import Path

import pytest

from model.reading.statements import VOCABULARY
from tests.training.ecg_folders import noise, write_record
from training.errors import TrainingError
from training.sources import find_source, open_source
from training.sources.catalogue import Entry
from training.sources.challenge import USED, known_of, statements_of


def test_codes_that_were_scored_as_one_are_one() -> None:
    assert statements_of(["59118001"]) == {"RBBB", "CRBBB", "BBB"}
    assert statements_of(["713427006"]) == {"RBBB", "CRBBB", "BBB"}
    assert statements_of(["63593006", "164889003"]) == {"PAC", "SVPB", "AF"}
    assert statements_of(["164884008"]) == {"PVC", "VPB"}


@pytest.mark.parametrize(
    ("code", "key"),
    [
        ("164889003", "AF"), ("282825002", "AF"), ("426177001", "SB"), ("427084000", "STach"), ("6374002", "BBB"),
        ("713426002", "IRBBB"), ("164909002", "LBBB"), ("733534002", "CLBBB"), ("251120003", "ILBBB"),
    ],
)  # fmt: skip
def test_codes_of_rhythm_and_conduction_are_known(code: str, key: str) -> None:
    found = statements_of([code])
    assert key in found
    assert ("BBB" in found) == key.endswith("BBB")


def test_a_bundle_branch_block_is_decided_where_its_kinds_are() -> None:
    assert "BBB" in known_of("A0001", frozenset())
    assert "BBB" in known_of("S0001", frozenset())
    assert "BBB" not in known_of("X1", frozenset())


def test_a_folder_of_another_database_decides_what_it_states(tmp_path: Path) -> None:
    for number, codes in enumerate(("426177001", "428750005", "Unknown")):
        write_record(tmp_path, f"ward{number}", noise(number), comments=f"# Dx: {codes}\n")
    first, second, third = open_source("challenge", tmp_path).entries
    assert first.present == first.known == second.known == {"SB"}
    assert second.present == frozenset()
    assert third.known == frozenset()


def test_a_resolution_given_as_a_gain_is_put_right(tmp_path: Path) -> None:
    header = write_record(tmp_path, "E00001", noise(1), comments="#Dx: 426177001\n")
    source = open_source("challenge", tmp_path)
    right = source.read(source.entries[0]).signal_mv
    gain = header.read_text().splitlines()[1].split()[2]
    header.write_text(header.read_text().replace(f" {gain} ", " 4880/mV "))
    factor = float(gain.partition("(")[0].partition("/")[0]) / 1000
    assert source.read(source.entries[0]).signal_mv == pytest.approx(right * factor, rel=1e-5)


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
