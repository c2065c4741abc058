"""Samples that were not recorded: bridged by a line for the filters, and known, so that nothing is read there."""

import numpy as np
import numpy.typing as npt

Missing = npt.NDArray[np.bool_]


def bridge(signal_mv: npt.NDArray[np.float32], missing: Missing) -> None:
    """Lay a straight line over every gap, in place; before the first and after the last sample of a lead a level one.

    Args:
        signal_mv: (lead, sample), millivolts.
        missing: (lead, sample), True where there is no sample; some of every lead are there.
    """
    for row_mv, gone in zip(signal_mv, missing, strict=True):
        there = np.flatnonzero(~gone)
        row_mv[gone] = np.interp(np.flatnonzero(gone), there, row_mv[there])
