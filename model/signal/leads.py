"""Names of the twelve leads, their spellings, and the algebra between the limb leads.

Einthoven's law and Goldberger's augmented leads: III = II - I, aVR = -(I + II) / 2, aVL = I - II / 2,
aVF = II - I / 2 (Kligfield et al., AHA/ACCF/HRS recommendations part I, 2007).
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

LIMB_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF")
CHEST_LEADS = ("V1", "V2", "V3", "V4", "V5", "V6")
STANDARD_LEADS = LIMB_LEADS + CHEST_LEADS
MODEL_LEADS = ("I", "II", *CHEST_LEADS)

# Each limb lead as (a, b) in a * I + b * II.
LIMB_ALGEBRA: dict[str, tuple[float, float]] = {
    "I": (1.0, 0.0),
    "II": (0.0, 1.0),
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}

_SPELLINGS = {name.upper(): name for name in STANDARD_LEADS}


def canonical_lead(name: str) -> str:
    """The standard spelling of a lead name in any case (`avr`, `Lead II`, `v1`); unknown names come back stripped."""
    stripped = name.strip()
    bare = stripped.upper().removeprefix("LEAD").strip(" _-")
    return _SPELLINGS.get(bare, stripped)


def derive_limb_leads(signal_mv: npt.NDArray[np.float32], leads: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
    """The six limb leads, as far as the given leads determine them.

    Args:
        signal_mv: (lead, sample), mV.
        leads: canonical names, one a row.

    Returns:
        Each limb lead that is present or follows from two others by Einthoven's law; present ones are passed on as
        they are. Fewer than two independent limb leads derive nothing.
    """
    present = {name: signal_mv[row] for row, name in enumerate(leads) if name in LIMB_ALGEBRA}
    if len(present) < 2 or len(present) == len(LIMB_LEADS):
        return {name: present[name] for name in LIMB_LEADS if name in present}
    pair = [name for name in LIMB_LEADS if name in present][:2]
    one_two = np.linalg.inv(np.array([LIMB_ALGEBRA[name] for name in pair]))  # any two limb leads are independent
    weights = np.array([LIMB_ALGEBRA[name] for name in LIMB_LEADS]) @ one_two
    first, second = present[pair[0]], present[pair[1]]
    return {
        name: present.get(name, (a * first + b * second).astype(np.float32))
        for name, (a, b) in zip(LIMB_LEADS, weights, strict=True)
    }


@cache
def standard_from_model() -> npt.NDArray[np.float32]:
    """The weight of each of `MODEL_LEADS` in each of `STANDARD_LEADS`, (12, 8)."""
    weights = np.zeros((len(STANDARD_LEADS), len(MODEL_LEADS)), dtype=np.float32)
    for row, lead in enumerate(STANDARD_LEADS):
        parts = zip(("I", "II"), LIMB_ALGEBRA[lead], strict=True) if lead in LIMB_ALGEBRA else [(lead, 1.0)]
        for name, weight in parts:
            weights[row, MODEL_LEADS.index(name)] = weight
    return weights


def known_leads(signal_mv: npt.NDArray[np.float32], leads: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Every lead that is present, and the limb leads that follow from two others.

    Args:
        signal_mv: (lead, sample), mV.
        leads: canonical names, one a row.
    """
    return dict(zip(leads, signal_mv, strict=True)) | derive_limb_leads(signal_mv, leads)
