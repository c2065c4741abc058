"""The text of a WFDB header as numbers within bounds, checked before any sample is touched.

WFDB applications guide, header(5): a record line `name signals rate length`, then a line a signal:
`file format[xN][:skew][+offset] gain[(baseline)][/unit] resolution zero first checksum block description`.
Times, dates and comments may hold a patient's data; they are not read.
"""

import re
from dataclasses import dataclass

from model.errors import MalformedRecordError, MissingRateError, RateError, TooLargeError, UnsupportedRecordError

MAX_HEADER_BYTES = 64 * 1024
MAX_PER_FRAME = 64  # samples of one signal in a frame
_FORMAT = re.compile(r"(\d{1,3})(?:x(\d{1,4}))?(?::(\d{1,9}))?(?:\+(\d{1,9}))?", re.ASCII)
_NUMBER = r"[+-]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][+-]?\d{1,3})?"
_GAIN = re.compile(rf"({_NUMBER})(?:\(([+-]?\d{{1,10}})\))?(?:/(\S+))?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,12}", re.ASCII)
_FILE = re.compile(r"(?![.-])[^\x00-\x1f/\\:~]{1,255}")


@dataclass(frozen=True)
class Signal:
    """One signal line.

    Attributes:
        file: the signal file, a bare name.
        format: WFDB storage format.
        per_frame: samples of this signal in a frame.
        skew: frames by which the signal is stored late.
        offset: bytes before the first sample of the file.
        gain: counts per unit; None when the header gives none or 0, which WFDB calls uncalibrated.
        baseline: counts at 0 units.
        unit: as written, None when absent.
        first: the first sample, where the header says it.
        checksum: sum of the samples modulo 65536, where the header says it.
        name: the description, empty when absent.
    """

    file: str
    format: int
    per_frame: int
    skew: int
    offset: int
    gain: float | None
    baseline: int
    unit: str | None
    first: int | None
    checksum: int | None
    name: str


@dataclass(frozen=True)
class Header:
    """A single-segment record: frames a second, frames (None when the file sizes decide) and its signals."""

    frame_hz: float
    frames: int | None
    signals: tuple[Signal, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """The signal files that it names, each once."""
        return tuple(dict.fromkeys(signal.file for signal in self.signals))


def parse_header(data: bytes) -> Header:
    """A header's numbers.

    Raises:
        TooLargeError: over 64 kB.
        UnsupportedRecordError: a multi-segment record, or a signal without a file.
        MissingRateError: no sampling rate; WFDB's 250 Hz is not assumed.
        RateError: a rate of 0.
        MalformedRecordError: anything else that the format does not allow, and names that are paths or URLs.
    """
    if len(data) > MAX_HEADER_BYTES:
        raise TooLargeError(f"got a header of {len(data)} bytes, wanted at most {MAX_HEADER_BYTES}")
    lines = _content_lines(data)
    if not lines:
        raise MalformedRecordError("the header is empty")
    fields = lines[0].split()
    if "/" in fields[0]:
        raise UnsupportedRecordError("a multi-segment record; send each of its segments as a record")
    if len(fields) < 2:
        raise MalformedRecordError("the record line does not give the number of signals")
    count = _integer(fields[1])
    if count < 1 or count != len(lines) - 1:
        raise MalformedRecordError(f"the header announces {count} signals and describes {len(lines) - 1}")
    return Header(_frame_hz(fields), _frames(fields), tuple(_signal(line) for line in lines[1:]))


def _content_lines(data: bytes) -> list[str]:
    """Lines that are neither blank nor comments."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if "\x00" in text:
        raise MalformedRecordError("the header is not text")
    lines = (line.strip() for line in text.removeprefix("\ufeff").replace("\r", "\n").split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def _frame_hz(fields: list[str]) -> float:
    if len(fields) < 3:
        raise MissingRateError("the header gives no sampling rate")
    frame_hz = _number(fields[2].partition("/")[0].partition("(")[0])
    if frame_hz <= 0:
        raise RateError(f"got a rate of {frame_hz:g} Hz, wanted more than 0")
    return frame_hz


def _frames(fields: list[str]) -> int | None:
    if len(fields) < 4:
        return None
    frames = _integer(fields[3])
    if frames < 0:
        raise MalformedRecordError(f"the header gives a length of {frames}")
    return frames or None


def _signal(line: str) -> Signal:
    fields = line.split(None, 8)
    layout = _FORMAT.fullmatch(fields[1]) if len(fields) > 1 else None
    if layout is None:
        raise MalformedRecordError("a signal line gives no storage format")
    if fields[0] == "~":
        raise UnsupportedRecordError("a signal without a file is not read")
    if not _FILE.fullmatch(fields[0]):
        raise MalformedRecordError("a signal file is not a bare file name")
    per_frame = int(layout[2] or 1)
    if not 1 <= per_frame <= MAX_PER_FRAME:
        raise MalformedRecordError(f"got {per_frame} samples in a frame, wanted 1 to {MAX_PER_FRAME}")
    gain, baseline, unit = _calibration(fields)
    return Signal(
        file=fields[0],
        format=int(layout[1]),
        per_frame=per_frame,
        skew=int(layout[3] or 0),
        offset=int(layout[4] or 0),
        gain=gain,
        baseline=baseline,
        unit=unit,
        first=_integer(fields[5]) if len(fields) > 5 else None,
        checksum=_integer(fields[6]) if len(fields) > 6 else None,
        name=fields[8].strip() if len(fields) > 8 else "",
    )


def _calibration(fields: list[str]) -> tuple[float | None, int, str | None]:
    """Gain, baseline and unit; an absent baseline is the ADC zero, and that is 0 when absent."""
    zero = _integer(fields[4]) if len(fields) > 4 else 0
    if len(fields) < 3:
        return None, zero, None
    match = _GAIN.fullmatch(fields[2])
    if match is None:
        raise MalformedRecordError("a signal line gives a gain that is not a number")
    gain = _number(match[1])
    if gain < 0:
        raise MalformedRecordError(f"got a gain of {gain:g}, wanted more than 0")
    return gain or None, zero if match[2] is None else int(match[2]), match[3]


def _number(text: str) -> float:
    if not re.fullmatch(_NUMBER, text, re.ASCII):
        raise MalformedRecordError("the header holds something else than a number where one belongs")
    number = float(text)
    if abs(number) > 1e12 or 0 < abs(number) < 1e-12:
        raise MalformedRecordError("the header gives a number that no recorder writes")
    return number


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise MalformedRecordError("the header holds something else than a whole number where one belongs")
    return int(text)
