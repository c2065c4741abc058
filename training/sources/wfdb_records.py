"""WFDB records on disk, one file name to a Recording."""

from pathlib import Path

import numpy as np
import wfdb

from model.signal.recording import Recording


def read_wfdb(header: Path) -> Recording:
    """The record of a header, in mV."""
    record = wfdb.rdrecord(str(header.with_suffix("")))
    return Recording(record.p_signal.T.astype(np.float32), record.fs, tuple(record.sig_name))
