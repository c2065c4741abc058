"""Records are cut in other processes as in this one, which alone answers what is typed at a terminal."""

import signal
from pathlib import Path

import numpy as np

from model.signal.recording import Recording
from model.signal.spec import SPEC
from tests.training.ecg_folders import noise
from training.data.cutting import cut_records
from training.sources.catalogue import Entry, Source


def read_undisturbed(entry: Entry) -> Recording:
    """Noise, unless an interrupt would end the process."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        raise ValueError
    return noise(int(entry.record))


def read(entry: Entry) -> Recording:
    """Noise."""
    return noise(int(entry.record))


def test_processes_cut_as_one_does_and_leave_an_interrupt_to_their_parent() -> None:
    entries = tuple(Entry(str(row), Path(), None, "train") for row in range(3))
    here = list(cut_records(Source("x", (), entries, read), entries, SPEC, processes=1))
    there = list(cut_records(Source("x", (), entries, read_undisturbed), entries, SPEC, processes=2))
    assert [one.reason for one in there] == [""] * 3
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one.windows, other.windows)
