"""When a pacemaker's spikes are seen in a recording.

A spike is over in 4 ms, and around it the leads are calm, which tells it from the tip of an R wave. Bipolar and atrial
spikes are often too small to be seen, so that their absence says nothing.
"""

import numpy as np
import numpy.typing as npt

from model.signal.recording import Recording

Times = npt.NDArray[np.float64]

MIN_RATE_HZ = 400.0  # slower sampling has filtered the spikes away
SPIKE_S, AROUND_S = 0.004, 0.016
SPIKE_MV = 0.15
CALM = 2.0  # times the movement around it
PIECE_S = 60.0  # looked at in one go
MIN_LEADS, MIN_PER_10_S = 2, 5  # of 154 unpaced records of LUDB none has more than 3 in 10 s; 4 of 7 paced ones have 6


def find_pacing_ms(recording: Recording) -> Times:
    """The middle of each spike of a paced heart, (spike,); none where spikes do not come again and again.

    A spike is seen in at least two leads, at a rate that does not filter it away.
    """
    if recording.sampling_hz < MIN_RATE_HZ:
        return np.empty(0)
    far = round(AROUND_S * recording.sampling_hz)
    piece = round(PIECE_S * recording.sampling_hz)
    at = np.concatenate(
        [
            first + _spikes(recording.signal_mv[:, first : first + piece + 2 * far], recording.sampling_hz)
            for first in range(0, recording.signal_mv.shape[1], piece)
        ]
    )
    at = at[np.diff(at, prepend=-np.inf) > 2 * far]
    if len(at) < MIN_PER_10_S * max(1.0, recording.duration_s / 10):
        return np.empty(0)
    return np.asarray(at * (1000.0 / recording.sampling_hz))


def _spikes(signal_mv: npt.NDArray[np.float32], sampling_hz: float) -> npt.NDArray[np.int64]:
    """The samples of (lead, sample) that are the middle of a spike; a spike may have several."""
    near, far = round(SPIKE_S * sampling_hz), round(AROUND_S * sampling_hz)
    samples = signal_mv.shape[1] - 2 * far
    none = np.empty(0, dtype=np.int64)
    if samples <= 0:
        return none

    def moved(by: int) -> npt.NDArray[np.float32]:
        return signal_mv[:, far + by : far + by + samples]

    begin, end = slice(far - near, far - near + samples), slice(far, far + samples)
    step = signal_mv[:, near:] - signal_mv[:, : 2 * far + samples - near]
    up, down = step > SPIKE_MV, step < -SPIKE_MV
    high = (up[:, begin] & down[:, end]) | (down[:, begin] & up[:, end])
    if not high.any():
        return none
    at = np.flatnonzero(high.sum(axis=0) >= MIN_LEADS)
    if len(at) == 0:
        return none
    height = np.minimum(np.abs(step[:, begin][:, at]), np.abs(step[:, end][:, at]))
    around = np.stack(
        [moved(by)[:, at] for by in (-far, -far * 3 // 4, -far // 2, -near, near, far // 2, far * 3 // 4, far)]
    )
    narrow = high[:, at] & (height > CALM * np.ptp(around, axis=0))
    return np.asarray(far + at[narrow.sum(axis=0) >= MIN_LEADS])
