"""Whether a pacemaker's spikes can be seen in a recording.

A spike is over in 4 ms, and around it the leads are calm, which tells it from the tip of an R wave. Bipolar and atrial
spikes are often too small to be seen, so that their absence says nothing.
"""

import numpy as np

from model.signal.recording import Recording

MIN_RATE_HZ = 400.0  # slower sampling has filtered the spikes away
SPIKE_S, AROUND_S = 0.004, 0.016
SPIKE_MV = 0.15
CALM = 2.0  # times the movement around it
MIN_LEADS, MIN_PER_10_S = 2, 5  # of 153 unpaced records of LUDB none has more than 3 in 10 s; 4 of 8 paced ones have 6


def shows_pacing(recording: Recording) -> bool:
    """Whether narrow spikes come in several leads at once, and again and again."""
    if recording.sampling_hz < MIN_RATE_HZ:
        return False
    return count_spikes(recording) >= MIN_PER_10_S * max(1.0, recording.duration_s / 10)


def count_spikes(recording: Recording) -> int:
    """How many spikes are seen in at least two leads."""
    near, far = round(SPIKE_S * recording.sampling_hz), round(AROUND_S * recording.sampling_hz)
    samples = recording.signal_mv.shape[1] - 2 * far
    if samples <= 0:
        return 0

    def moved(by: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        return recording.signal_mv[:, far + by : far + by + samples]

    begin, end = slice(far - near, far - near + samples), slice(far, far + samples)
    step = recording.signal_mv[:, near:] - recording.signal_mv[:, : 2 * far + samples - near]
    up, down = step > SPIKE_MV, step < -SPIKE_MV
    high = (up[:, begin] & down[:, end]) | (down[:, begin] & up[:, end])
    if not high.any():
        return 0
    at = np.flatnonzero(high.sum(axis=0) >= MIN_LEADS)
    if len(at) == 0:
        return 0
    height = np.minimum(np.abs(step[:, begin][:, at]), np.abs(step[:, end][:, at]))
    around = np.stack(
        [moved(by)[:, at] for by in (-far, -far * 3 // 4, -far // 2, -near, near, far // 2, far * 3 // 4, far)]
    )
    spikes = at[(high[:, at] & (height > CALM * np.ptp(around, axis=0))).sum(axis=0) >= MIN_LEADS]
    return int((np.diff(spikes, prepend=-np.inf) > 2 * far).sum())
