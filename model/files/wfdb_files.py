"""WFDB records, as named bytes or on disk, to recordings.

Lead names, not positions, say what a signal is. Lengths are held against the sizes of the signal files to the byte, so
that a header of another record, or of other leads, does not pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePath
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from model.errors import (
    MalformedRecordError,
    MissingGainError,
    NotFiniteError,
    UnknownUnitError,
    UnsupportedRecordError,
)
from model.files.limits import SERVICE_LIMITS, UNLIMITED, Limits
from model.files.units import is_voltage, millivolts_per
from model.files.wfdb_header import MAX_HEADER_BYTES, Header, Signal, parse_header
from model.files.wfdb_samples import (
    FLAC_BITS,
    INVALID,
    NEEDS_LENGTH,
    Samples,
    largest_size,
    samples_in,
    smallest_size,
    unpack,
    unpack_flac,
)
from model.signal.gaps import Missing, bridge
from model.signal.leads import STANDARD_LEADS, canonical_lead
from model.signal.recording import Note, Recording

Sample = TypeVar("Sample", np.float32, np.bool_)

HEADER_SUFFIX = ".hea"
SIGNAL_SUFFIXES = frozenset({".dat", ".mat"})  # what signal files are called, though a header may name any
FORMAT_UNIT = "mV"  # what header(5) says an absent unit is
FORMAT_GAIN = 200.0  # what header(5) says may stand in for an absent gain
_MAT_HEADER = np.dtype([("type", "<i4"), ("rows", "<i4"), ("columns", "<i4"), ("imaginary", "<i4"), ("name", "<i4")])
_MAT_INT16 = 30  # little-endian, column by column, int16: MATLAB level 4


@dataclass(frozen=True)
class _Track:
    """A signal in its file: digital samples and the line that describes them."""

    signal: Signal
    digital: Samples

    @property
    def missing(self) -> Missing:
        """Which samples are marked as not there."""
        invalid = INVALID[self.signal.format]
        return np.zeros(self.digital.shape, bool) if invalid is None else np.asarray(self.digital == invalid)

    @property
    def as_written(self) -> bool:
        """Whether first sample and checksum, where the header gives them, fit."""
        first, checksum = self.signal.first, self.signal.checksum
        if first is not None and self.signal.format != 8 and first != int(self.digital[0]):
            return False
        return checksum is None or (checksum - int(self.digital.sum(dtype=np.int64))) % 2**16 == 0


def decode_record(
    files: Mapping[str, bytes], limits: Limits = SERVICE_LIMITS, *, uncalibrated: bool = False
) -> Recording:
    """The recording of one WFDB record.

    Args:
        files: bare name to content; exactly one header, the signal files that it names, and none that it does not.
        limits: caps.
        uncalibrated: take the format's own word for a gain (200) and a unit (mV) that a header leaves out, bridge gaps,
            which `Recording.missing` then holds, and leave out leads without a single sample while others have some.
            Only for callers who look at times and not at amplitudes; `Recording.notes` says so.

    Raises:
        MalformedRecordError: the header contradicts itself or the files.
        UnsupportedRecordError: multi-segment, an unknown storage format, or leads at different rates.
        MissingUnitError, UnknownUnitError, MissingGainError, MissingRateError, RateError: of a lead that is kept.
        NotFiniteError: samples that are marked as missing.
        TooLargeError: over the limits.
    """
    limits.require_members(len(files))
    limits.require_body(sum(map(len, files.values())))
    headers = [name for name in files if name.lower().endswith(HEADER_SUFFIX)]
    if len(headers) != 1:
        raise MalformedRecordError(f"got {len(headers)} headers among {len(files)} files, wanted 1")
    header = parse_header(files[headers[0]])
    named = header.files
    if any(is_signal_file(name) and name not in named for name in files):
        raise MalformedRecordError("a signal file that the header does not name, which may be another record's")
    return _decode(header, files, limits, uncalibrated=uncalibrated)


def is_signal_file(name: str) -> bool:
    """Whether a file is called as those that hold samples are."""
    return PurePath(name).suffix.lower() in SIGNAL_SUFFIXES


def read_record(path: Path, limits: Limits = UNLIMITED, *, uncalibrated: bool = False) -> Recording:
    """The recording of a record on disk, as `decode_record`.

    Args:
        path: of the header, with or without `.hea`; signal files lie beside it.
        limits: caps, held against the files before they are read.
        uncalibrated: as in `decode_record`.
    """
    header_path = path if path.suffix.lower() == HEADER_SUFFIX else path.with_name(path.name + HEADER_SUFFIX)
    with header_path.open("rb") as stream:
        header = parse_header(stream.read(MAX_HEADER_BYTES + 1))
    paths = [header_path.with_name(name) for name in header.files]
    if not all(one.is_file() for one in paths):
        raise MalformedRecordError("a signal file that the header names is not there")
    limits.require_body(sum(one.stat().st_size for one in paths))
    return _decode(header, {one.name: one.read_bytes() for one in paths}, limits, uncalibrated=uncalibrated)


def _decode(header: Header, files: Mapping[str, bytes], limits: Limits, *, uncalibrated: bool) -> Recording:
    limits.require_leads(len(header.signals))
    main = _main_signals(header.signals)
    per_frame = _shared_rate(main)
    sampling_hz = header.frame_hz * per_frame
    tracks = _tracks(header, files, limits)
    kept = [one for one in tracks if one.signal in main or _goes_along(one, per_frame, uncalibrated=uncalibrated)]
    if uncalibrated:
        kept = [one for one in kept if not one.missing.all()] or kept
    scales = [_millivolts_per_count(track.signal, uncalibrated=uncalibrated) for track in kept]
    missing = np.stack([track.missing for track in kept])
    _require_samples(missing, bridging=uncalibrated)
    signal_mv = np.empty((len(kept), kept[0].digital.size), np.float32)
    for row, (track, scale) in enumerate(zip(kept, scales, strict=True)):
        np.multiply(track.digital - np.float64(track.signal.baseline), scale, out=signal_mv[row], casting="same_kind")
    late = [track.signal.skew * per_frame for track in kept]
    gaps = None
    if missing.any():
        bridge(signal_mv, missing)
        gaps = _aligned(missing, late)
    notes = _notes(kept, left_out=len(kept) < len(tracks), gaps=gaps is not None)
    return Recording(_aligned(signal_mv, late), sampling_hz, _names(kept), notes, gaps)


def _require_samples(missing: Missing, *, bridging: bool) -> None:
    """Raise for leads with gaps, or where those are to be bridged, for leads that are nothing else."""
    without = np.count_nonzero(missing.all(axis=1) if bridging else missing.any(axis=1))
    if without:
        raise NotFiniteError(
            f"samples are marked as missing in {without} of {len(missing)} leads; gaps are not filled in"
        )


def _main_signals(signals: Sequence[Signal]) -> tuple[Signal, ...]:
    """The signals that must be kept: standard leads, else the voltages, else those of which no unit is known."""
    standard = tuple(one for one in signals if canonical_lead(one.name) in STANDARD_LEADS)
    voltages = tuple(one for one in signals if is_voltage(one.unit))
    unitless = tuple(one for one in signals if one.unit is None)
    if not (standard or voltages or unitless):
        raise UnknownUnitError("no signal of the record has a unit that is mV, uV or V")
    return standard or voltages or unitless


def _shared_rate(main: Sequence[Signal]) -> int:
    """Samples in a frame, the same for every lead."""
    if len({one.per_frame for one in main}) > 1:
        raise UnsupportedRecordError("the leads of the record have different sampling rates")
    return main[0].per_frame


def _goes_along(track: _Track, per_frame: int, *, uncalibrated: bool) -> bool:
    """Whether a signal that is no standard lead is a whole voltage at the leads' rate."""
    signal = track.signal
    calibrated = signal.gain is not None and is_voltage(signal.unit)
    return (
        signal.per_frame == per_frame
        and (calibrated or (uncalibrated and signal.unit is None))
        and (uncalibrated or not track.missing.any())
    )


def _tracks(header: Header, files: Mapping[str, bytes], limits: Limits) -> list[_Track]:
    """Every signal of the record with its samples, in the order of the header."""
    groups = [(file, tuple(group)) for file, group in groupby(header.signals, key=lambda signal: signal.file)]
    if len({file for file, _ in groups}) < len(groups):
        raise MalformedRecordError("the signals of one file are not listed together")
    if not all(file in files for file, _ in groups):
        raise MalformedRecordError("a signal file that the header names is not there")
    for _, signals in groups:
        _require_one_layout(signals)
    frames = header.frames or _frames_held(groups, files)
    limits.require_duration(frames, header.frame_hz)
    return [track for file, signals in groups for track in _unpacked(signals, files[file], frames)]


def _require_one_layout(signals: Sequence[Signal]) -> None:
    """Signals that share a file share its format and its offset."""
    first = signals[0]
    if first.format not in INVALID:
        raise UnsupportedRecordError("the record is stored in a format that is not read")
    if len({(one.format, one.offset) for one in signals}) > 1:
        raise MalformedRecordError("signals of one file differ in format or offset")
    if first.format in FLAC_BITS and (first.offset or len({one.per_frame for one in signals}) > 1):
        raise UnsupportedRecordError("FLAC signals with an offset, or at different rates, are not read")


def _frames_held(groups: Sequence[tuple[str, tuple[Signal, ...]]], files: Mapping[str, bytes]) -> int:
    """Frames that fill the signal files, for a header that gives no length."""
    held = set()
    for file, signals in groups:
        if signals[0].format in NEEDS_LENGTH:
            raise UnsupportedRecordError("a record in this format needs a length in its header")
        size = max(len(files[file]) - signals[0].offset, 0)
        held.add(samples_in(signals[0].format, size) // sum(one.per_frame for one in signals))
    if len(held) > 1 or 0 in held:
        raise MalformedRecordError("the header gives no length, and the signal files do not agree on one")
    return held.pop()


def _unpacked(signals: Sequence[Signal], data: bytes, frames: int) -> list[_Track]:
    """The signals of one file, whose size must be what the header says to the byte."""
    widths = [one.per_frame for one in signals]
    storage, offset = signals[0].format, signals[0].offset
    if storage in FLAC_BITS:
        channels = unpack_flac(storage, data, (frames * widths[0], len(signals)))
        return [_Track(one, channels[:, column]) for column, one in enumerate(signals)]
    samples = frames * sum(widths)
    if not smallest_size(storage, samples) <= len(data) - offset <= largest_size(storage, samples):
        wanted = offset + smallest_size(storage, samples)
        raise MalformedRecordError(f"a signal file has {len(data)} bytes where the header says {wanted}")
    _require_mat_shape(data[:offset], sum(widths), frames)
    framed = unpack(storage, memoryview(data)[offset:], samples).reshape(frames, -1)
    ends = np.cumsum(widths)
    columns = [framed[:, end - width : end].reshape(-1) for end, width in zip(ends, widths, strict=True)]
    if storage == 8:
        columns = [
            np.cumsum(one, dtype=np.int64) + (signal.first or 0) for one, signal in zip(columns, signals, strict=True)
        ]
    return [_Track(one, column) for one, column in zip(signals, columns, strict=True)]


def _require_mat_shape(prefix: bytes, rows: int, columns: int) -> None:
    """Raise for a MATLAB level 4 matrix of int16 whose own header gives another shape."""
    if len(prefix) < _MAT_HEADER.itemsize:
        return
    matrix = np.frombuffer(prefix, _MAT_HEADER, count=1)[0]
    is_matrix = matrix["type"] == _MAT_INT16 and len(prefix) == _MAT_HEADER.itemsize + matrix["name"]
    if is_matrix and (matrix["rows"], matrix["columns"]) != (rows, columns):
        raise MalformedRecordError("the matrix in a signal file is of another shape than the header says")


def _millivolts_per_count(signal: Signal, *, uncalibrated: bool) -> float:
    gain, unit = signal.gain, signal.unit
    if uncalibrated:
        gain, unit = gain or FORMAT_GAIN, unit or FORMAT_UNIT
    if gain is None:
        raise MissingGainError("a lead of the record has no gain: it is uncalibrated")
    return millivolts_per(unit) / gain


def _aligned(rows: npt.NDArray[Sample], late: Sequence[int]) -> npt.NDArray[Sample]:
    """Leads that were stored late moved back; the end, which some leads lack, is cut off."""
    length = rows.shape[1] - max(late)
    if length <= 0:
        raise MalformedRecordError("a signal is stored later than the record lasts")
    if not any(late):
        return rows
    return np.stack([row[start : start + length] for row, start in zip(rows, late, strict=True)])


def _names(kept: Sequence[_Track]) -> tuple[str, ...]:
    """A name a lead; names that are no standard lead are numbered where they are absent or come twice."""
    names: list[str] = []
    for number, track in enumerate(kept):
        name = canonical_lead(track.signal.name) or f"signal {number}"
        twice = name in names and name not in STANDARD_LEADS
        names.append(f"{name} ({number})" if twice else name)
    return tuple(names)


def _notes(kept: Sequence[_Track], *, left_out: bool, gaps: bool) -> tuple[Note, ...]:
    seen: dict[Note, bool] = {
        "signals_left_out": left_out,
        "checksum_mismatch": not all(track.as_written for track in kept),
        "skew_cut": any(track.signal.skew for track in kept),
        "unit_by_format": any(track.signal.unit is None for track in kept),
        "gain_by_format": any(track.signal.gain is None for track in kept),
        "gaps_bridged": gaps,
    }
    return tuple(note for note, holds in seen.items() if holds)
