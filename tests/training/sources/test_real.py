from pathlib import Path

import numpy as np
import pytest

from model.signal.spec import SPEC
from training.data.cutting import cut_record
from training.sources import find_source, open_source
from training.sources.catalogue import Source, label_matrix
from training.sources.ptbxl import EXTRA_KEYS, PARTIAL_TABLE, PUBLISHED_TABLE, SCP_TABLE, STATEMENT_KEYS

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def shared(ecg_data: Path) -> Source:
    return open_source("ptbxl", ecg_data / "ptb-xl")


@pytest.fixture(scope="module")
def published(ecg_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The part of the published table that is there, laid out as the whole."""
    folder = tmp_path_factory.mktemp("published")
    for name, target in ((PARTIAL_TABLE, PUBLISHED_TABLE), (SCP_TABLE, SCP_TABLE), ("records100", "records100")):
        (folder / target).symlink_to(ecg_data / "ptb-xl" / name)
    return folder


def test_the_splits_of_ptb_xl_are_the_official_ones(shared: Source) -> None:
    counts = {split: sum(entry.split == split for entry in shared.entries) for split in ("train", "val", "test")}
    assert counts == {"train": 17418, "val": 2183, "test": 2198}
    assert sum(not entry.known & STATEMENT_KEYS for entry in shared.entries) == 233


def test_statements_known_to_a_part_of_the_records_have_enough_positives(shared: Source) -> None:
    keys = tuple(sorted(EXTRA_KEYS))
    labels = label_matrix([entry for entry in shared.entries if entry.split == "train"], keys)
    assert ((labels == 1).sum(axis=0) >= 20).all()
    assert ((labels >= 0).sum(axis=0) == 4451).all()


def test_both_tables_of_ptb_xl_say_the_same(shared: Source, published: Path) -> None:
    of_record = {entry.record: entry for entry in shared.entries}
    official = open_source("ptbxl", published).entries
    joined = [of_record[entry.record] for entry in official]
    assert [entry.split for entry in official] == [entry.split for entry in joined]
    keys = (*sorted(STATEMENT_KEYS | EXTRA_KEYS), "NORM", "MI", "STTC", "CD", "HYP")
    mine, theirs = label_matrix(official, keys), label_matrix(joined, keys)
    known = theirs >= 0
    np.testing.assert_array_equal(mine[known], theirs[known])


@pytest.mark.parametrize(("group", "count"), [("super", 5), ("sub", 23), ("all", 71), ("form", 19), ("rhythm", 12)])
def test_the_label_groups_have_the_sizes_of_the_benchmark(published: Path, group: str, count: int) -> None:
    assert len(open_source("ptbxl", published, group).keys) == count


def test_every_record_of_the_challenge_is_read(ecg_data: Path) -> None:
    folder = ecg_data / "challenge"
    assert find_source(folder) == "challenge"
    source = open_source("challenge", folder)
    assert len(source.entries) == 66
    assert all(entry.known for entry in source.entries)
    cuts = [cut_record(source.read, entry, SPEC, ruled=False) for entry in source.entries]
    assert [cut.reason for cut in cuts] == [""] * 66
