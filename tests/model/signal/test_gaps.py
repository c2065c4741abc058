"""Gaps hold a line between what was recorded on either side, and nothing else changes."""

import numpy as np

from model.signal.gaps import bridge


def test_gaps_hold_a_line_between_their_neighbours_and_a_level_one_at_the_ends() -> None:
    signal_mv = np.array([[9, 1, 9, 9, 4, 5, 9], [1, 2, 3, 4, 5, 6, 7]], dtype=np.float32)
    missing = signal_mv == 9
    bridge(signal_mv, missing)
    assert signal_mv.tolist() == [[1, 1, 2, 3, 4, 5, 5], [1, 2, 3, 4, 5, 6, 7]]
