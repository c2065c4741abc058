"""Real records: all of the databases are read, and of the odd ones it is said which are not, and why."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb

from model.errors import EcgError
from model.files import decode_files, read_path
from model.signal.leads import STANDARD_LEADS

pytestmark = pytest.mark.real


def headers(folder: Path, pattern: str, *, at_most: int = 200) -> list[Path]:
    found = sorted(folder.glob(pattern))
    assert found, f"no {pattern} in the data folder"
    return found[:: max(len(found) // at_most, 1)]


def outcome(header: Path) -> str:
    try:
        recording = read_path(header)
    except EcgError as error:
        return error.code
    return f"leads: {len(recording.leads)}"


@pytest.mark.parametrize(
    ("folder", "pattern"),
    [
        ("challenge", "*/*.hea"),
        ("ludb", "data/*.hea"),
        ("ptb-xl", "records100/*/*.hea"),
        ("ptb-xl", "records500/*/*.hea"),
        ("cinc2011-quality", "*.hea"),
    ],
)
def test_every_record_of_a_database_is_read(ecg_data: Path, folder: str, pattern: str) -> None:
    for header in headers(ecg_data / folder, pattern):
        recording = read_path(header)
        assert sorted(recording.leads) == sorted(STANDARD_LEADS)
        assert recording.notes == ()


def test_the_files_of_a_challenge_record_are_read_as_they_would_be_posted(ecg_data: Path) -> None:
    for header in headers(ecg_data / "challenge", "*/*.hea"):
        files = {path.name: path.read_bytes() for path in (header, header.with_suffix(".mat"))}
        np.testing.assert_array_equal(decode_files(files).signal_mv, read_path(header).signal_mv)


def test_samples_are_those_that_wfdb_reads(ecg_data: Path) -> None:
    for header in headers(ecg_data / "ptb-xl", "records500/*/*.hea", at_most=20):
        reference = wfdb.rdrecord(str(header.with_suffix("")))
        np.testing.assert_allclose(read_path(header).signal_mv, reference.p_signal.T, atol=1e-6)


WHOLE = {
    "100-no-len.hea": "missing_unit",
    "100.hea": "missing_unit",
    "03700181.hea": "leads: 1",
    "a103l-no-len.hea": "leads: 2",
    "a103l.hea": "leads: 2",
    "binformats.hea": "leads: 10",
    "flacformats.hea": "leads: 3",
    "mixedsignals.hea": "not_finite",
    "s0010_re.hea": "missing_unit",
    "s25047-2704-05-04-10-44.hea": "unsupported_record",
    "s25047-2704-05-04-10-44n.hea": "unknown_unit",
    "3234460_layout.hea": "unsupported_record",
    "v102s.hea": "unsupported_record",
}
"""Header to what comes of it.

The leads of 03700181 and a103l stand beside pressure and pulse signals, which are left out. mixedsignals marks samples
as missing; s0010_re and 100 name no unit; 25047 and v102s are of several segments.
"""


def test_the_odd_ones(ecg_data: Path) -> None:
    found = {path.name: outcome(path) for path in (ecg_data / "wfdb-edge").rglob("*.hea")}
    assert {name: found.get(name) for name in WHOLE} == WHOLE
    segments = Counter(result for name, result in found.items() if name not in WHOLE)
    assert set(segments) == {"leads: 2", "not_finite"}


def test_where_only_times_count_the_formats_defaults_do(ecg_data: Path) -> None:
    edge = ecg_data / "wfdb-edge"
    fifteen = read_path(edge / "s0010_re", uncalibrated=True)
    assert fifteen.leads == (*STANDARD_LEADS, "vx", "vy", "vz")
    assert fifteen.notes == ("unit_by_format",)
    holter = read_path(edge / "100", uncalibrated=True)
    assert (holter.leads, holter.sampling_hz, round(holter.duration_s)) == (("MLII", "V5"), 360, 1806)
    reference = wfdb.rdrecord(str(edge / "100"))
    np.testing.assert_allclose(holter.signal_mv, reference.p_signal.T, atol=1e-6)


@pytest.mark.parametrize("name", ["binformats", "flacformats"])
def test_every_storage_format_of_a_published_record(ecg_data: Path, name: str) -> None:
    path = ecg_data / "wfdb-edge" / name
    reference = wfdb.rdrecord(str(path))
    np.testing.assert_allclose(read_path(path).signal_mv, reference.p_signal.T, rtol=1e-6, atol=1e-4)
