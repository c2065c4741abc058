"""Storage formats, held against the reference implementation on the same bytes."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import wfdb

from model.errors import MalformedRecordError
from model.files.wfdb_samples import (
    FLAC_BITS,
    INVALID,
    NEEDS_LENGTH,
    largest_size,
    samples_in,
    smallest_size,
    unpack,
    unpack_flac,
)

UNCOMPRESSED = sorted(set(INVALID) - set(FLAC_BITS))


def reference(folder: Path, storage: int, data: bytes, frames: int) -> npt.NDArray[np.signedinteger]:
    """What wfdb-python reads from the same bytes, two signals."""
    (folder / "r.dat").write_bytes(data)
    (folder / "r.hea").write_text(f"r 2 500 {frames}\n" + f"r.dat {storage} 200/mV 16 0 0 0 0 I\n" * 2)
    return np.asarray(wfdb.rdrecord(str(folder / "r"), physical=False).d_signal)


@pytest.mark.parametrize("frames", [1, 2, 3, 30, 31, 32, 499])
@pytest.mark.parametrize("storage", UNCOMPRESSED)
def test_any_bytes_mean_what_they_mean_to_wfdb(tmp_path: Path, storage: int, frames: int) -> None:
    rng = np.random.default_rng(storage + frames)
    data = rng.bytes(largest_size(storage, frames * 2))
    if storage == 311:  # its two spare bits, which wfdb 4.3 reads as a part of the third sample, are 0
        data = bytes(value & 0x3F if place % 4 == 3 else value for place, value in enumerate(data))
    got = unpack(storage, data, frames * 2).reshape(frames, 2)
    if storage == 8:
        got = got.cumsum(axis=0)
    np.testing.assert_array_equal(got, reference(tmp_path, storage, data, frames))


@pytest.mark.parametrize("storage", UNCOMPRESSED)
def test_the_lowest_value_marks_a_missing_sample(storage: int) -> None:
    lowest = {
        8: None,
        16: b"\x00\x80",
        24: b"\x00\x00\x80",
        32: b"\x00\x00\x00\x80",
        61: b"\x80\x00",
        80: b"\x00",
        160: b"\x00\x00",
        212: b"\x00\x08\x00",
        310: b"\x00\x04\x00\x00",
        311: b"\x00\x02\x00\x00",
    }[storage]
    if lowest is None:
        assert INVALID[storage] is None
    else:
        assert unpack(storage, lowest, 1)[0] == INVALID[storage]


@pytest.mark.parametrize("storage", UNCOMPRESSED)
def test_sizes_and_counts_agree(storage: int) -> None:
    for samples in range(1, 50):
        assert smallest_size(storage, samples) <= largest_size(storage, samples) < smallest_size(storage, samples + 3)
        if storage not in NEEDS_LENGTH:
            assert samples_in(storage, smallest_size(storage, samples)) == samples


@pytest.mark.parametrize("storage", sorted(FLAC_BITS))
def test_flac(tmp_path: Path, storage: int) -> None:
    rng = np.random.default_rng(storage)
    top = 2 ** (FLAC_BITS[storage] - 1)
    digital = rng.integers(-top + 1, top, (700, 3))
    wfdb.wrsamp(
        "r", fs=500, units=["mV"] * 3, sig_name=["I", "II", "III"], d_signal=digital,
        fmt=[str(storage)] * 3, adc_gain=[200.0] * 3, baseline=[0] * 3, write_dir=str(tmp_path),
    )  # fmt: skip
    data = (tmp_path / "r.dat").read_bytes()
    np.testing.assert_array_equal(unpack_flac(storage, data, (700, 3)), digital)
    for wrong in (data[:-20], data[:60], b"", b"RIFF" + data[4:]):
        with pytest.raises(MalformedRecordError):
            unpack_flac(storage, wrong, (700, 3))
    for shape in ((701, 3), (699, 3), (700, 2)):
        with pytest.raises(MalformedRecordError):
            unpack_flac(storage, data, shape)
