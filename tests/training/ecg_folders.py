"""Small folders in publishers' layouts, of seeded noise in twelve leads."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model.signal.leads import STANDARD_LEADS
from model.signal.recording import Recording
from training.sources.simulated import wfdb_record


def noise(seed: int, *, sampling_hz: float = 100.0, duration_s: float = 10.0) -> Recording:
    """Twelve leads of noise, louder with the seed."""
    random = np.random.default_rng(seed)
    signal_mv = random.normal(0.0, 0.1 + 0.01 * (seed % 10), (12, round(duration_s * sampling_hz)))
    return Recording(signal_mv.astype(np.float32), sampling_hz, STANDARD_LEADS)


def write_record(folder: Path, name: str, recording: Recording, *, mat: bool = False, comments: str = "") -> Path:
    """A WFDB record in `folder`; returns its header."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in wfdb_record(name, recording, mat=mat).items():
        (folder / file).write_bytes(data)
    header = folder / f"{name}.hea"
    header.write_text(header.read_text() + comments)
    return header


def write_table(path: Path, rows: Sequence[Sequence[object]]) -> None:
    """A CSV file, its first row the header."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_shared_ptbxl(folder: Path, rows: Sequence[Sequence[object]]) -> Path:
    """PTB-XL's shared layout with these rows of labels.csv (ecg_id, split, superclasses, statements, age, sex)."""
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "labels.csv", [("ecg_id", "split", "superclasses", "statements", "age", "sex"), *rows])
    for number, *_ in rows:
        write_record(folder / "records100" / "00000", f"{number:05d}_lr", noise(int(str(number))))
    return folder


SCP_STATEMENTS = (
    ("", "diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass"),
    ("NORM", "1.0", "", "", "NORM", "NORM"),
    ("IMI", "1.0", "", "", "MI", "IMI"),
    ("ILMI", "1.0", "", "", "MI", "IMI"),
    ("LVH", "1.0", "", "", "HYP", "LVH"),
    ("NDT", "1.0", "1.0", "", "STTC", "STTC"),
    ("PVC", "", "1.0", "", "", ""),
    ("SR", "", "", "1.0", "", ""),
)
PUBLISHED_COLUMNS = (
    *("ecg_id", "patient_id", "age", "sex", "scp_codes", "heart_axis", "strat_fold", "filename_lr", "filename_hr"),
)
