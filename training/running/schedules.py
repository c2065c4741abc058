"""How rates and momenta move with the progress of a run, from 0 at its start to 1 at its end."""

import math


def warmup_cosine(progress: float, *, warmup: float, floor: float = 0.0) -> float:
    """Factor on a learning rate: linear to 1 over `warmup`, then a half cosine down to `floor`."""
    if progress < warmup:
        return progress / warmup
    along = min(1.0, (progress - warmup) / max(1e-9, 1.0 - warmup))
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * along))


def linear(progress: float, start: float, end: float) -> float:
    """A value on the line from `start` to `end`."""
    return start + (end - start) * min(1.0, progress)
