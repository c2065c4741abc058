"""The storage formats of WFDB signal files: bytes to digital samples.

WFDB applications guide, signal(5). Every format is unpacked in memory from exactly as many bytes as it needs.
"""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from model.errors import MalformedRecordError

Samples = npt.NDArray[np.signedinteger]

INVALID = {
    8: None,
    16: -(2**15),
    24: -(2**23),
    32: -(2**31),
    61: -(2**15),
    80: -(2**7),
    160: -(2**15),
    212: -(2**11),
    310: -(2**9),
    311: -(2**9),
    508: -(2**7),
    516: -(2**15),
    524: -(2**23),
}
"""Format to the value that marks a missing sample; format 8, of differences, has none."""

FLAC_BITS = {508: 8, 516: 16, 524: 24}
"""Format to the bits of a sample, for signal files that are FLAC streams."""

NEEDS_LENGTH = {310, 311, *FLAC_BITS}
"""Formats of which two lengths have the same size."""

_WORD_BYTES = {8: 1, 16: 2, 24: 3, 32: 4, 61: 2, 80: 1, 160: 2}


def smallest_size(storage: int, samples: int) -> int:
    """Bytes that hold `samples` samples of an uncompressed format."""
    if storage == 212:
        return -(-samples * 3 // 2)
    if storage in (310, 311):
        tail = {310: (0, 2, 4), 311: (0, 2, 3)}[storage]
        return samples // 3 * 4 + tail[samples % 3]
    return samples * _WORD_BYTES[storage]


def largest_size(storage: int, samples: int) -> int:
    """The same with the last block filled up, as some writers do."""
    if storage == 212:
        return -(-samples // 2) * 3
    if storage in (310, 311):
        return -(-samples // 3) * 4
    return samples * _WORD_BYTES[storage]


def samples_in(storage: int, size: int) -> int:
    """Samples that fill `size` bytes of a format whose size tells it, which is not so in `NEEDS_LENGTH`."""
    return size * 2 // 3 if storage == 212 else size // _WORD_BYTES[storage]


def unpack(storage: int, data: bytes | memoryview, samples: int) -> Samples:
    """Digital samples of an uncompressed format.

    Args:
        storage: a format of `INVALID` that is not FLAC; the differences of format 8 come as they are stored.
        data: at least `smallest_size` bytes.
        samples: how many to return.
    """
    raw = np.frombuffer(data, np.uint8, count=smallest_size(storage, samples))
    return _UNPACK[storage](raw)[:samples]


def unpack_flac(storage: int, data: bytes | memoryview, shape: tuple[int, int]) -> Samples:
    """Digital samples (sample, channel) of a FLAC stream that holds exactly `shape`.

    Raises:
        MalformedRecordError: not FLAC, damaged, or of another shape or sample width.
    """
    import soundfile  # type: ignore[import-untyped]

    bits = FLAC_BITS[storage]
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as stream:
            described = (stream.format, stream.subtype, stream.frames, stream.channels)
            if described != ("FLAC", "PCM_S8" if bits == 8 else f"PCM_{bits}", *shape):
                raise MalformedRecordError("a FLAC signal file does not hold what the header says")
            samples = stream.read(shape[0], dtype="int32", always_2d=True)
    except (RuntimeError, ValueError, TypeError) as error:
        raise MalformedRecordError("a FLAC signal file cannot be decoded") from error
    if samples.shape != shape:
        raise MalformedRecordError("a FLAC signal file ends too early")
    return np.asarray(samples >> (32 - bits))


def _unpack_24(raw: npt.NDArray[np.uint8]) -> Samples:
    wide = np.zeros((raw.size // 3, 4), np.uint8)
    wide[:, 1:] = raw.reshape(-1, 3)
    return wide.view("<i4")[:, 0] >> 8


def _unpack_212(raw: npt.NDArray[np.uint8]) -> Samples:
    blocks = _blocks(raw, 3).astype(np.int16)
    low = blocks[:, 0] | (blocks[:, 1] & 0x0F) << 8
    high = blocks[:, 2] | (blocks[:, 1] & 0xF0) << 4
    return _signed(np.stack([low, high], axis=1), 12)


def _unpack_310(raw: npt.NDArray[np.uint8]) -> Samples:
    words = _blocks(raw, 4).view("<u2").astype(np.int16)
    first, second = words[:, 0], words[:, 1]
    third = (first >> 11 & 0x1F) | (second >> 11 & 0x1F) << 5
    return _signed(np.stack([first >> 1 & 0x3FF, second >> 1 & 0x3FF, third], axis=1), 10)


def _unpack_311(raw: npt.NDArray[np.uint8]) -> Samples:
    words = _blocks(raw, 4).view("<u4")
    return _signed((words >> np.array([0, 10, 20], np.uint32) & 0x3FF).astype(np.int16), 10)


def _blocks(raw: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """(block, byte), the last block filled up with zeros."""
    return np.pad(raw, (0, -raw.size % size)).reshape(-1, size)


def _signed(fields: npt.NDArray[np.int16], bits: int) -> Samples:
    """Two's complement of `bits` bits, flattened."""
    sign = 1 << (bits - 1)
    return (fields.reshape(-1) ^ sign) - sign


_UNPACK: dict[int, Callable[[npt.NDArray[np.uint8]], Samples]] = {
    8: lambda raw: raw.view(np.int8),
    16: lambda raw: raw.view("<i2"),
    24: _unpack_24,
    32: lambda raw: raw.view("<i4"),
    61: lambda raw: raw.view(">i2"),
    80: lambda raw: raw.astype(np.int16) - 128,
    160: lambda raw: (raw.view("<u2").astype(np.int32) - 32768).astype(np.int16),
    212: _unpack_212,
    310: _unpack_310,
    311: _unpack_311,
}
