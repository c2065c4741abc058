"""Archives: one record in, everything else refused."""

import io
import zipfile
import zlib

import numpy as np
import pytest

from model.errors import EcgError
from model.files import Limits
from model.files.archive import decode_archive
from training.sources.simulated import simulate, wfdb_record
from training.sources.simulated.files import zipped

ECG = simulate(1, duration_s=5).recording
RECORD = wfdb_record("r", ECG)


def code_of(body: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(EcgError) as caught:
        decode_archive(body, limits or Limits())
    return caught.value.code


def renamed(**names: str) -> bytes:
    return zipped({names.get(name.replace(".", "_"), name): content for name, content in RECORD.items()})


@pytest.mark.parametrize(
    "body",
    [
        zipped(RECORD),
        zipped(wfdb_record("r", ECG, mat=True)),
        zipped({f"folder/{name}": content for name, content in RECORD.items()}),
        zipped(RECORD | {"__MACOSX/._r.hea": b"\0\5\x16\7", ".DS_Store": b"Bud1", "__MACOSX/a/._r.dat": b"\0"}),
        zipped({f"folder/{name}": content for name, content in RECORD.items()} | {"folder/.DS_Store": b"Bud1"}),
        zipped(RECORD | {"README.txt": b"nothing", "r.atr": b"\0\0", "Thumbs.db": b""}),
        zipped({"folder/": b""} | {f"folder/{name}": content for name, content in RECORD.items()}),
    ],
    ids=[
        "dat",
        "mat",
        "in a folder",
        "from a Mac",
        "a folder from a Mac",
        "with other files",
        "with the folder's own entry",
    ],
)
def test_an_archive_of_one_record_is_read(body: bytes) -> None:
    np.testing.assert_allclose(decode_archive(body).signal_mv, ECG.signal_mv, atol=0.00051)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_archive"),
        (b"PK\x03\x04 and nothing more", "malformed_archive"),
        (zipped(RECORD)[:-30], "malformed_archive"),
        (zipped(RECORD)[200:], "malformed_archive"),
        (zipped({}), "malformed_record"),
        (zipped({"r.dat": RECORD["r.dat"]}), "malformed_record"),
        (zipped({"r.hea": RECORD["r.hea"]}), "malformed_record"),
        (zipped(RECORD | {"s.hea": RECORD["r.hea"]}), "malformed_record"),
        (zipped(RECORD | {"s.dat": RECORD["r.dat"]}), "malformed_record"),
        (zipped(RECORD | {"S.MAT": b""}), "malformed_record"),
        (renamed(r_dat="../r.dat"), "malformed_archive"),
        (renamed(r_dat="/r.dat"), "malformed_archive"),
        (renamed(r_dat="a/../../r.dat"), "malformed_archive"),
        (renamed(r_dat="..\\r.dat"), "malformed_archive"),
        (renamed(r_dat="C:r.dat"), "malformed_archive"),
        (renamed(r_dat="deep/r.dat"), "malformed_archive"),
        (renamed(r_dat=""), "malformed_archive"),
        (zipped({f"{folder}/{name}": data for folder in "ab" for name, data in RECORD.items()}), "malformed_archive"),
        (zipped(RECORD | {"inner.zip": zipped(RECORD)}), "malformed_archive"),
        (zipped(RECORD | {f"{number}.txt": b"" for number in range(64)}), "too_large"),
        (zipped(RECORD | {"zeros.dat": bytes(2**26)}), "too_large"),
        (zipped(RECORD | {"zeros.dat": bytes(2**25)}), "too_large"),
    ],
)  # fmt: skip
def test_refusals(body: bytes, code: str) -> None:
    assert code_of(body) == code


def test_limits() -> None:
    assert code_of(zipped(RECORD), Limits(body_bytes=1000)) == "too_large"
    assert code_of(zipped(RECORD), Limits(unpacked_bytes=1000)) == "too_large"
    assert code_of(zipped(RECORD), Limits(duration_s=1)) == "too_large"


def test_a_directory_of_many_entries_is_refused_before_it_is_read() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(3000):
            archive.writestr(zipfile.ZipInfo(str(number)), b"")
    assert code_of(packed.getvalue()) == "too_large"


def test_encryption_is_refused() -> None:
    body = bytearray(zipped(RECORD))
    for signature, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = body.find(signature)
        while place >= 0:
            body[place + flags] |= 1
            place = body.find(signature, place + 4)
    assert code_of(bytes(body)) == "malformed_archive"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_compressions_are_refused(method: int) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in RECORD.items():
            archive.writestr(name, content)
    assert code_of(packed.getvalue()) == "malformed_archive"


def test_a_member_that_lies_about_its_size_is_refused() -> None:
    body = zipped({"r.hea": RECORD["r.hea"], "r.dat": bytes(2**22)})
    size = (2**22).to_bytes(4, "little")
    assert code_of(body.replace(size, (60000).to_bytes(4, "little"))) == "malformed_archive"


def test_damaged_data_is_refused() -> None:
    body = bytearray(zipped(RECORD))
    body[len(body) // 2] ^= 0xFF
    assert code_of(bytes(body)) == "malformed_archive"
    assert zlib.crc32(bytes(body))
