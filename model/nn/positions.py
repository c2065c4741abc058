"""Fixed sine-cosine positions of tokens, in one dimension (time) and two (lead, time)."""

import numpy as np
import torch
from torch import Tensor


def sincos_1d(positions: int, dim: int) -> Tensor:
    """(position, dim): sines in the first half, cosines in the second, wavelengths to 10000 (Vaswani et al. 2017)."""
    frequencies = 1.0 / 10000.0 ** (np.arange(dim // 2, dtype=np.float64) / (dim / 2.0))
    angles = np.outer(np.arange(positions, dtype=np.float64), frequencies)
    return torch.from_numpy(np.concatenate([np.sin(angles), np.cos(angles)], axis=1)).float()


def sincos_2d(leads: int, patches: int, dim: int) -> Tensor:
    """(lead * patch, dim): the first half of the width tells the patch, the second the lead."""
    time = sincos_1d(patches, dim // 2).repeat(leads, 1)
    lead = sincos_1d(leads, dim // 2).repeat_interleave(patches, dim=0)
    return torch.cat([time, lead], dim=1)
