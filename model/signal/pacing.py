"""When a pacemaker's spikes are seen in a recording.

A spike is an edge: the leads jump within 4 ms out of 40 ms of calm and go no further, whether they fall back at once or
along the tail that amplifiers make of a large one. An R wave climbs for longer, and noise jumps in another direction
each time, where an electrode in its place gives every spike the same. Bipolar and atrial spikes are often too small to
be seen, so that their absence says nothing.
"""

import numpy as np
import numpy.typing as npt

from model.signal.recording import Recording

Times = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

MIN_RATE_HZ = 400.0  # slower sampling has filtered the spikes away
SPIKE_S, CALM_S = 0.004, 0.040
SPIKE_MV = 0.2
CALM = 3.0  # times the movement before it
FURTHER = 0.25  # of the jump, by which the leads may go on in its direction
APART_S = 0.032
PIECE_S = 60.0  # looked at in one go
MIN_LEADS = 2
SAME_WAY = 0.9  # cosine between the jumps of two spikes over the leads
MIN_PER_10_S = 5  # of 153 unpaced records of LUDB none has more than 2; all 8 that are paced have 6 and more
COMPARED = 200  # spikes of a long recording that the others are held against


def find_pacing_ms(recording: Recording) -> Times:
    """The middle of each spike of a paced heart, (spike,); none where spikes do not come again and again.

    A spike is seen in at least two leads, at a rate that does not filter it away.
    """
    if recording.sampling_hz < MIN_RATE_HZ:
        return np.empty(0)
    near, calm = round(SPIKE_S * recording.sampling_hz), round(CALM_S * recording.sampling_hz)
    piece = round(PIECE_S * recording.sampling_hz)
    begins = range(0, recording.signal_mv.shape[1], piece)
    pieces = [_edges(recording.signal_mv[:, max(at - calm, 0) : at + piece + 2 * near], near, calm) for at in begins]
    at = np.concatenate([found + max(begin - calm, 0) for begin, found in zip(begins, pieces, strict=True)])
    at = at[np.diff(at, prepend=-np.inf) > APART_S * recording.sampling_hz]
    at = at[_come_again(recording.signal_mv[:, at + near] - recording.signal_mv[:, at])]
    if len(at) < MIN_PER_10_S * max(1.0, recording.duration_s / 10):
        return np.empty(0)
    return np.asarray((at + near) * (1000.0 / recording.sampling_hz))


def _edges(signal_mv: npt.NDArray[np.float32], near: int, calm: int) -> Places:
    """The last calm samples of (lead, sample) before a jump; a jump may have several."""
    samples = signal_mv.shape[1] - calm - 2 * near
    if samples <= 0:
        return np.empty(0, dtype=np.int64)
    jump = signal_mv[:, calm + near : calm + near + samples] - signal_mv[:, calm : calm + samples]
    high = jump > SPIKE_MV
    high |= jump < -SPIKE_MV
    at = np.flatnonzero(np.count_nonzero(high, axis=0) >= MIN_LEADS)
    for looked_at in (np.arange(calm - near, calm + 1, near), np.arange(0, calm + 1, near)):  # most R waves end at once
        height = jump[:, at]
        size = np.abs(height)
        before = signal_mv[:, at + looked_at[:, None]]  # (lead, sample, place)
        further = (signal_mv[:, at + calm + 2 * near] - signal_mv[:, at + calm + near]) * np.sign(height)
        is_edge = high[:, at] & (size > CALM * np.ptp(before, axis=1)) & (further < FURTHER * size)
        at = at[np.count_nonzero(is_edge, axis=0) >= MIN_LEADS]
    return np.asarray(calm + at)


def _come_again(jumps_mv: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which of (lead, jump) have as many fellows in their direction, themselves among them, as a paced heart gives."""
    ways = jumps_mv / (np.linalg.norm(jumps_mv, axis=0) + np.float32(1e-9))
    some = ways[:, :: max(1, ways.shape[1] // COMPARED)]
    return np.asarray((ways.T @ some > SAME_WAY).sum(axis=1) >= MIN_PER_10_S)
