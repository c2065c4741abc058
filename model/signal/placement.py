"""Whether electrodes look swapped: limb leads that point the wrong way, chest leads out of order.

Einthoven's law holds for swapped limb electrodes too, so it cannot tell; what tells is the shape of the median beat.
V6 looks at the heart from the left, as I does, and from below, as II does: with the arms swapped I is its mirror image,
P wave and all, with the right arm and the left leg swapped II is. With the right arm and the right leg swapped II is
almost a line (Kors JA, van Herpen G. J Electrocardiol 2009;42:506). A swap of left arm and left leg is not told. Along
the chest each lead resembles its neighbours most; if another order of two electrodes makes neighbours resemble each
other more, they may be swapped. Of 4,355 train records of PTB-XL, which hold right axes and infarctions, 3 in 1000 are
suspected of limbs as they are and 7 of the chest; of 436 with the arms swapped 92 in 100, right arm and left leg 95,
right arm and right leg 92 (a trace of II and 2 uV of noise left) to 62 (10 uV of noise and nothing else), two chest
leads that are not neighbours 86 to 98 (V4 and V6: 50), neighbours 8 (V5 and V6) to 72.
"""

from itertools import combinations

import numpy as np
import numpy.typing as npt

from model.signal.lead_features import mean
from model.signal.leads import CHEST_LEADS

Array = npt.NDArray[np.float32]

SHAPE = slice(8, 72)  # of the median beat, P to T
P_WAVE = slice(8, 22)
MIRRORED = -0.2  # correlation with V6
LINE = 0.12  # movement of II over that of I or III
BETTER_ORDER = 0.35  # gain in the sum of five correlations between neighbours

_ORDERS = np.array(
    [
        np.where(np.arange(6) == first, second, np.where(np.arange(6) == second, first, np.arange(6)))
        for first, second in combinations(range(6), 2)
    ]
)
"""Every order of the six chest leads that one swap makes, (15, 6)."""


def limbs_look_swapped(beat: Array, leads: tuple[str, ...]) -> bool:
    """Whether I or II is the mirror image of V6, or II almost a line; False where a lead is missing."""
    if not {"I", "II", "III", "V6"} <= set(leads):
        return False
    beats = beat[[leads.index(name) for name in ("I", "II", "III", "V6")]]
    one, two, three, _ = beats.max(axis=1) - beats.min(axis=1)
    if two < LINE * max(one, three):
        return True
    mirrored = _like_last(beats[:, SHAPE])[:2] < MIRRORED
    return bool(mirrored.any() and (mirrored & (_like_last(beats[:, P_WAVE])[:2] < 0)).any())


def second_is_a_line(moves_mv: dict[str, float]) -> bool:
    """Whether II hardly moves beside I and III: what right arm and right leg swapped leave of it, or less.

    Args:
        moves_mv: by lead, how much it moves in a second as a rule, of the leads that are there.
    """
    if not {"I", "II", "III"} <= moves_mv.keys():
        return False
    return moves_mv["II"] < LINE * max(moves_mv["I"], moves_mv["III"])


def chest_looks_swapped(beat: Array, leads: tuple[str, ...]) -> bool:
    """Whether swapping two chest leads would make neighbours resemble each other more; False where one is missing."""
    if not set(CHEST_LEADS) <= set(leads):
        return False
    chest = _normed(beat[[leads.index(name) for name in CHEST_LEADS], SHAPE])
    alike = chest @ chest.T
    as_named = float(np.diagonal(alike, offset=1).sum())
    best = float(alike[_ORDERS[:, :-1], _ORDERS[:, 1:]].sum(axis=1).max())
    return best - as_named > BETTER_ORDER


def _normed(beats: Array) -> Array:
    """Each row without its mean and at length one, so that products are correlations; a line stays at zero."""
    centred = beats - mean(beats, axis=-1)
    centred /= np.sqrt(np.einsum("ls,ls->l", centred, centred))[:, None] + np.float32(1e-9)
    return np.asarray(centred)


def _like_last(beats: Array) -> Array:
    """Correlation of each row with the last."""
    normed = _normed(beats)
    return np.asarray(normed @ normed[-1])
