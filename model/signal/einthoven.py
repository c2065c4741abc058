"""Which limb leads contradict the others: one heart gives six leads of which two tell all.

III is II - I (Einthoven, 1912) and the augmented leads follow from I and II (Goldberger, Am Heart J 1942;23:483), also
where electrodes are swapped or noisy. A lead that does not follow is misnamed, has a scale of its own, or was recorded
at another time: aVL and aVF bear each other's names in 649 of the 657 records of CinC 2011, and the headers of LUDB
scale each lead on its own.
"""

from collections.abc import Sequence
from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt

from model.signal.leads import LIMB_ALGEBRA

APART = 0.1
"""Of the size of two leads: IEC 60601-2-25 lets amplitudes be off by 5 % each. Of 740 records from carts that keep the
laws none is beyond 0.024 in III and aVR; misnamed aVL and aVF lie beyond 0.22."""
BELIEVED = 4  # leads that agree; three may by chance of names, as aVR with I and II exchanged


def contradicting_leads(signal_mv: npt.NDArray[np.float32], leads: Sequence[str]) -> tuple[str, ...]:
    """The limb leads that do not fit the most that fit each other; all of them where those are fewer than four.

    Args:
        signal_mv: (lead, sample), as recorded, none derived from others; poor leads left out.
        leads: canonical names, one a row.
    """
    limbs = [lead for lead in LIMB_ALGEBRA if lead in leads]
    if len(limbs) < 3:
        return ()
    limb_mv = signal_mv[[leads.index(lead) for lead in limbs]]
    limb_mv = limb_mv - limb_mv.mean(axis=1, keepdims=True)
    products = (limb_mv @ limb_mv.T).astype(np.float64)
    apart = _apart(tuple(limbs))
    squares = ((apart @ products) * apart).sum(axis=2)  # (pair, lead)
    fits = squares <= APART**2 * 2 * products.trace() / len(limbs)
    most = int(fits.sum(axis=1).argmax())
    believed = fits[most] if fits[most].sum() >= min(BELIEVED, len(limbs)) else np.zeros(len(limbs), bool)
    return tuple(lead for lead, is_believed in zip(limbs, believed.tolist(), strict=True) if not is_believed)


@cache
def _apart(limbs: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Of each lead less what would follow from two of them: weights of the leads, for every two, (pair, lead, lead)."""
    sides = np.array([LIMB_ALGEBRA[lead] for lead in limbs])
    apart = np.tile(np.eye(len(limbs)), (len(limbs) * (len(limbs) - 1) // 2, 1, 1))
    for weights, pair in zip(apart, combinations(range(len(limbs)), 2), strict=True):
        weights[:, pair] -= sides @ np.linalg.inv(sides[list(pair)])
    return apart
