"""Every code has its words."""

from typing import get_args

import pytest

from model.reading.cautions import CAUTIONS, ISSUE_WORDS, caution, issue_caution
from model.signal.quality import Code
from model.signal.recording import Note


def test_every_issue_of_quality_has_words() -> None:
    assert set(ISSUE_WORDS) == set(get_args(Code))


@pytest.mark.parametrize("note", get_args(Note))
def test_every_note_of_a_decoder_is_a_sentence(note: str) -> None:
    assert caution(note).endswith(".")


def test_sentences_end_as_sentences() -> None:
    assert all(words[0].isupper() or words[0] == "{" for words in CAUTIONS.values())
    assert all(words.endswith(".") for words in CAUTIONS.values())


def test_an_issue_names_its_leads_or_the_recording() -> None:
    assert issue_caution("noise", ["V1", "V2"]) == "Noise without beats in V1, V2."
    assert issue_caution("short", [None]) == "Fewer than ten seconds in the recording."
