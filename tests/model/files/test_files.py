"""The registry: every format of the same ECG gives the same recording."""

from pathlib import Path

import numpy as np
import pytest

from model.errors import UnknownFormatError
from model.files import BODY_DECODERS, decode_body, decode_files, read_path
from model.files.archive import unpack_archive
from model.signal.leads import STANDARD_LEADS
from training.sources.simulated import simulate
from training.sources.simulated.files import EXAMPLE_SEED, example_files

ECG = simulate(EXAMPLE_SEED).recording
QUERY = {
    "sampling_hz": "500",
    "dtype": "int16",
    "order": "lead-major",
    "leads": ",".join(STANDARD_LEADS),
    "unit": "mV",
    "gain": "1000",
}


def test_the_examples_are_what_the_simulator_writes(examples: Path) -> None:
    written = {path.name: path.read_bytes() for path in examples.iterdir()}
    files = example_files()
    assert unpack_archive(written.pop("example.zip")) == unpack_archive(files.pop("example.zip"))  # zlibs pack unlike
    assert written == files
    assert sum(map(len, files.values())) < 1_500_000


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("example.json", "application/json"),
        ("example_base64.json", "Application/JSON; charset=utf-8"),
        ("example.zip", "application/zip"),
        ("example.zip", "application/x-zip-compressed"),
        ("example.int16", "application/octet-stream"),
    ],
)
def test_every_body_gives_the_same_recording(examples: Path, name: str, media_type: str) -> None:
    got = decode_body(media_type, (examples / name).read_bytes(), query=QUERY)
    assert (got.leads, got.sampling_hz) == (ECG.leads, ECG.sampling_hz)
    np.testing.assert_allclose(got.signal_mv, ECG.signal_mv, atol=0.00051)


@pytest.mark.parametrize("names", [("example.hea", "example.dat"), ("example.zip",)])
def test_files_of_a_record_or_one_archive(examples: Path, names: tuple[str, ...]) -> None:
    got = decode_files({name: (examples / name).read_bytes() for name in names})
    np.testing.assert_allclose(got.signal_mv, ECG.signal_mv, atol=0.00051)


@pytest.mark.parametrize("name", ["example", "example.hea", "example.zip", "example.json", "example_base64.json"])
def test_a_path(examples: Path, name: str) -> None:
    np.testing.assert_allclose(read_path(examples / name).signal_mv, ECG.signal_mv, atol=0.00051)


def test_a_record_of_the_challenges_layout(examples: Path) -> None:
    got = read_path(examples / "example_mat.hea")
    assert (got.sampling_hz, got.duration_s, got.notes) == (257, 10, ())


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/dicom", "multipart/form-data; boundary=x"])
def test_another_content_type_is_unknown(media_type: str) -> None:
    with pytest.raises(UnknownFormatError) as caught:
        decode_body(media_type, b"")
    assert all(known in caught.value.detail for known in BODY_DECODERS)


def test_other_files_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "ecg.pdf").write_bytes(b"%PDF")
    with pytest.raises(UnknownFormatError):
        read_path(tmp_path / "ecg.pdf")
    with pytest.raises(FileNotFoundError):
        read_path(tmp_path / "nothing")
