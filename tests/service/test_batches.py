"""What one ECG of an archive may unpack to."""

import io
import zipfile
from dataclasses import replace

from model.errors import TooLargeError
from model.files import SERVICE_LIMITS
from service.batches import Batch
from service.pipeline import Job
from service.reading import Decode
from service.turns import Claim

LIMITS = replace(SERVICE_LIMITS, unpacked_bytes=100_000)


def job(body: bytes, decode: Decode) -> Job:
    return Job(body, decode, frozenset(), "request", Claim("batch", "ward"))


def record(*sizes: int) -> bytes:
    """A stored .zip of a record with a signal file of each size, and of another one behind it."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        lines = "".join(f"a{number}.dat 16 1000 16 0 0 0 0 I\n" for number in range(len(sizes)))
        archive.writestr("a.hea", f"a {len(sizes)} 500\n{lines}")
        for number, size in enumerate(sizes):
            archive.writestr(f"a{number}.dat", bytes(size))
        archive.writestr("b.json", b"{}")
    return body.getvalue()


def test_the_files_of_a_record_are_bounded_together_before_one_is_unpacked() -> None:
    batch = Batch(record(60_000, 60_000), "application/zip", LIMITS, job)
    assert isinstance(batch.next(), TooLargeError)
    other = batch.next()
    assert isinstance(other, Job)
    assert other.body == b"{}"
    assert batch.next() is None


def test_a_record_within_the_bound_is_read() -> None:
    first = Batch(record(60_000, 30_000), "application/zip", LIMITS, job).next()
    assert isinstance(first, Job)
    assert len(first.body) > 90_000
