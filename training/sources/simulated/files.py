"""Simulated ECGs as files: one in every format that is read, or many as a labelled folder of WFDB records."""

import base64
import csv
import io
import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.reading.statements import SUPERCLASSES
from model.signal.recording import Recording
from training.sources.catalogue import Split
from training.sources.simulated.ecg import KINDS, SimulatedEcg, simulate

GAIN = 1000  # counts per mV: 1 uV a count
TABLE = "labels.csv"
COLUMNS = ("record", "split", "superclasses", "statements", "age", "sex")
EXAMPLE_SEED = 7
_SUPERCLASSES = {one.key for one in SUPERCLASSES}
_SPLITS: tuple[Split, ...] = ("train",) * 7 + ("val", "test") + ("train",)
_PACKED_ON = (2024, 1, 1, 0, 0, 0)  # archives keep times; a fixed one keeps their bytes the same


def run(*, out: Path, records: int = 200, seed: int = 0) -> dict[str, Any]:
    """Write a folder of WFDB records and `labels.csv`, every kind in turn, in all three splits.

    Args:
        out: folder to write; it may hold nothing of that name yet.
        records: how many.
        seed: of the first record; the others count on.

    Returns:
        What was written.

    Raises:
        FileExistsError: the folder exists.
    """
    (out / "records").mkdir(parents=True, exist_ok=False)
    with (out / TABLE).open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(COLUMNS)
        for number in range(records):
            ecg = simulate(seed + number, KINDS[number % len(KINDS)])
            name = f"s{number:05d}"
            _write(out / "records", wfdb_record(name, ecg.recording))
            table.writerow(_row(f"records/{name}", _SPLITS[number // len(KINDS) % len(_SPLITS)], ecg))
    return {"out": str(out), "records": records}


def write_examples(folder: Path) -> None:
    """Write one ECG as WFDB, MATLAB, .zip, JSON and raw samples, and one ECG of each other kind that examples need."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, example_files())


def example_files() -> dict[str, bytes]:
    """File name to content of every example; the same bytes each time."""
    recording = simulate(EXAMPLE_SEED).recording
    record = wfdb_record("example", recording)
    abnormal = simulate(EXAMPLE_SEED, "fibrillation", sampling_hz=257).recording
    return {
        **record,
        **wfdb_record("example_mat", abnormal, mat=True),
        "example.zip": zipped(record),
        "example.json": as_json(recording),
        "example_base64.json": as_base64_json(recording),
        "example.int16": counts(recording).astype("<i2").tobytes(),
    }


def counts(recording: Recording) -> npt.NDArray[np.int16]:
    """Samples as int16 (lead, sample), 1 uV a count."""
    return np.round(recording.signal_mv * GAIN).astype(np.int16)


def wfdb_record(name: str, recording: Recording, *, mat: bool = False) -> dict[str, bytes]:
    """File name to content of a WFDB record in format 16.

    Args:
        name: of the record.
        recording: within +-32 mV.
        mat: samples in a MATLAB level 4 matrix, as in the PhysioNet challenges, instead of a bare .dat.
    """
    digital = counts(recording)
    leads, samples = digital.shape
    prefix = struct.pack("<5i4s", 30, leads, samples, 0, 4, b"val\0") if mat else b""
    signal_file, storage = (f"{name}.mat", f"16+{len(prefix)}") if mat else (f"{name}.dat", "16")
    lines = [f"{name} {leads} {recording.sampling_hz:g} {samples}"]
    for lead, row in zip(recording.leads, digital, strict=True):
        checksum = (int(row.sum(dtype=np.int64)) + 2**15) % 2**16 - 2**15
        lines.append(f"{signal_file} {storage} {GAIN}(0)/mV 16 0 {row[0]} {checksum} 0 {lead}")
    header = "".join(f"{line}\n" for line in lines)
    return {f"{name}.hea": header.encode("ascii"), signal_file: prefix + digital.T.astype("<i2").tobytes()}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A .zip of the files, without the hour at which it was made."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _PACKED_ON), content, zipfile.ZIP_DEFLATED, 9)
    return packed.getvalue()


def as_json(recording: Recording) -> bytes:
    """A JSON body of lists, in mV to 1 uV."""
    leads = {
        lead: [float(value) for value in np.round(row / GAIN, 3)]
        for lead, row in zip(recording.leads, counts(recording), strict=True)
    }
    return _json_body(recording, {"leads": leads})


def as_base64_json(recording: Recording) -> bytes:
    """A JSON body of base64, 1 uV a count."""
    leads = {
        lead: base64.b64encode(row.astype("<i2").tobytes()).decode("ascii")
        for lead, row in zip(recording.leads, counts(recording), strict=True)
    }
    return _json_body(recording, {"gain": GAIN, "leads": leads})


def _json_body(recording: Recording, rest: Mapping[str, Any]) -> bytes:
    fields = {"sampling_hz": recording.sampling_hz, "unit": "mV", **rest}
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def _row(record: str, split: Split, ecg: SimulatedEcg) -> tuple[object, ...]:
    superclasses = "|".join(key for key in ecg.labels if key in _SUPERCLASSES)
    statements = "|".join(key for key in ecg.labels if key not in _SUPERCLASSES)
    return record, split, superclasses, statements, ecg.age, ecg.sex


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)
