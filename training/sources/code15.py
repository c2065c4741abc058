"""CODE-15%: exams in HDF5 at 400 Hz, zero-padded to 4096 samples, with six diagnoses each.

Ribeiro et al., "Automatic diagnosis of the 12-lead ECG using a deep neural network", 2020; doi:10.5281/zenodo.4916206.
The padding is cut and the rate kept. Samples are in mV, leads in the order DI to V6.
"""

from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from model.reading.statements import VOCABULARY
from model.signal.leads import STANDARD_LEADS
from model.signal.recording import Recording
from training.sources.catalogue import Entry, Source, split_by_patient
from training.sources.tables import Row, read_age, read_table

TABLE = "exams.csv"
SAMPLING_HZ = 400.0
STATEMENT_OF = {"1dAVb": "IAVB", "RBBB": "RBBB", "LBBB": "LBBB", "SB": "SB", "ST": "STach", "AF": "AF"}
KNOWN = frozenset(STATEMENT_OF.values())
TRUE = frozenset({"true", "1", "1.0"})


def open_code15(folder: Path) -> Source:
    """The exams of exams.csv whose part of the tracings is in the folder.

    Raises:
        TrainingError: no table, or one without its columns.
    """
    columns = ("exam_id", "age", "is_male", "patient_id", "trace_file", *STATEMENT_OF)
    rows = [row for row in read_table(folder / TABLE, columns) if (folder / row["trace_file"]).is_file()]
    keys = tuple(key for key in VOCABULARY if key in KNOWN)
    return Source("code15", keys, tuple(_entry(folder, row) for row in rows), read_exam, own_splits=False)


def read_exam(entry: Entry) -> Recording:
    """The tracing of an exam without its padding.

    Raises:
        LookupError: the exam is not in its file.
        ShapeError: the exam holds nothing but padding.
    """
    with h5py.File(entry.path) as file:
        found = np.flatnonzero(file["exam_id"][:] == int(entry.record))
        if not len(found):
            raise LookupError("the exam is not in its file")
        tracing = np.asarray(file["tracings"][found[0]], dtype=np.float32)
    return Recording(cut_padding(tracing.T), SAMPLING_HZ, STANDARD_LEADS)


def cut_padding(signal_mv: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A signal (lead, sample) without the samples at both ends in which every lead is exactly zero."""
    filled = np.flatnonzero(signal_mv.any(axis=0))
    return signal_mv[:, filled[0] : filled[-1] + 1] if len(filled) else signal_mv[:, :0]


def _entry(folder: Path, row: Row) -> Entry:
    present = frozenset(key for column, key in STATEMENT_OF.items() if row[column].strip().lower() in TRUE)
    return Entry(
        record=row["exam_id"],
        path=folder / row["trace_file"],
        signal_file=None,
        split=split_by_patient(row["patient_id"]),
        present=present,
        known=KNOWN,
        patient=row["patient_id"],
        age=read_age(row["age"]),
        sex="male" if row["is_male"].strip().lower() in TRUE else "female",
    )
