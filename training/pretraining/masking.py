"""Which time patches are hidden in pretraining: random patches or several blocks, alike in every lead.

Source: arXiv 2410.08559, section 3: random masking hides 60-70 % of the patches, multi-block masking hides four
blocks of 17.5-22.5 % each, which may overlap. Shares are rounded to patches here, to 30-35 and 9-11 of 50, where the
authors' code rounds down, to 30-34 and 8-11; its blocks never reach the last patch.
"""

import numpy as np
import numpy.typing as npt

from training.config import Masking

RANDOM_SHARE = (0.6, 0.7)
BLOCK_SHARE = (0.175, 0.225)
BLOCKS = 4


def draw_mask(masking: Masking, patches: int, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """(patch,) boolean, True = hidden; at least one patch is hidden and at least one is visible."""
    hidden = _random(patches, random) if masking == "random" else _blocks(patches, random)
    if hidden.all():
        hidden[random.integers(patches)] = False
    return hidden


def _random(patches: int, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    count = max(1, round(patches * random.uniform(*RANDOM_SHARE)))
    hidden = np.zeros(patches, dtype=bool)
    hidden[random.permutation(patches)[:count]] = True
    return hidden


def _blocks(patches: int, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    hidden = np.zeros(patches, dtype=bool)
    for _ in range(BLOCKS):
        length = max(1, round(patches * random.uniform(*BLOCK_SHARE)))
        start = random.integers(patches - length + 1)
        hidden[start : start + length] = True
    return hidden
