"""Unmarked records whose rhythm is known: a running teacher marks them, and the rhythm overrules it on P waves.

The teacher is the mean of the learner's weights (Tarvainen and Valpola, "Mean teachers", 2017). It sees the clean
stretch, the learner a changed one, and only what the teacher is sure of counts. LUDB has P waves in nearly every
record, so that a network learns to expect them; a thousand records in fibrillation and flutter teach it when not to.
In sinus rhythm every QRS has its P: where the teacher finds none, it has missed it, and nothing before that QRS counts.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from model.nn.waves import limb_mix
from model.signal.spec import SPEC
from training.data.dataset import PreparedSet
from training.errors import TrainingError
from training.waves.augment import Cut
from training.waves.targets import FAR_S, RASTER_HZ, UNKNOWN

SURE = 0.9
_NONE, _P, _QRS = 0, 1, 2
_PR_FRAMES = 38  # 300 ms
_REACH_FRAMES = 5


@dataclass(frozen=True, eq=False)
class Rhythms:
    """Windows by rhythm.

    Attributes:
        windows: float16 (W, 8, sample), mV.
        with_p: rows of each rhythm that has P waves, never empty.
        without_p: rows of those that have none, never empty.
    """

    windows: npt.NDArray[np.float16]
    with_p: tuple[npt.NDArray[np.intp], ...]
    without_p: npt.NDArray[np.intp]


def read_rhythms(prepared: PreparedSet) -> Rhythms:
    """The train split of a prepared folder.

    Raises:
        TrainingError: no record in sinus rhythm, or none in fibrillation.
    """
    rows = rhythm_records(prepared, "train")
    if not (len(rows["sinus rhythm"]) and len(rows["fibrillation"])):
        raise TrainingError(f"{prepared.folder} has no records with and without fibrillation in its train split")
    with_p = tuple(rows[name] for name in ("sinus rhythm", "sinus tachycardia") if len(rows[name]))
    return Rhythms(prepared.windows, with_p, np.concatenate([rows["fibrillation"], rows["flutter"]]))


def rhythm_records(prepared: PreparedSet, split: str) -> dict[str, npt.NDArray[np.intp]]:
    """Windows of a split by rhythm: sinus rhythm and sinus tachycardia, fibrillation and flutter.

    Paced records are left out, as are those of which rhythms with and without P are said.
    """
    said = (_said(prepared, group) for group in (("NSR", "SB", "SA"), ("STach",), ("AF",), ("AFL",), ("PACE",)))
    sinus, fast, fibrillation, flutter, paced = said
    chosen = (prepared.splits == split) & ~paced
    regular, lost = chosen & ~(fibrillation | flutter), chosen & ~(sinus | fast)
    kinds = {
        "sinus rhythm": regular & sinus & ~fast,
        "sinus tachycardia": regular & fast,
        "fibrillation": lost & fibrillation & ~flutter,
        "flutter": lost & flutter,
    }
    return {name: np.flatnonzero(kind[prepared.window_record]) for name, kind in kinds.items()}


def _said(prepared: PreparedSet, statements: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Which records have one of some statements, (R,)."""
    return np.asarray((prepared.labels_of(statements) == 1).any(axis=1))


def draw_rhythms(rhythms: Rhythms, count: int, draw: Generator) -> tuple[Cut, Tensor]:
    """Some ECGs in the twelve leads with everything unknown, and which of them have no P, bool (B,).

    Every second one has none, and the rhythms that have some take turns between.
    """
    without = torch.arange(count) % 2 == 0
    with_p = itertools.cycle(rhythms.with_p)
    pools = [rhythms.without_p if bare else next(with_p) for bare in without.tolist()]
    rows = [int(pool[int(torch.randint(len(pool), (), generator=draw))]) for pool in pools]
    windows = torch.from_numpy(rhythms.windows[rows].astype(np.float32))
    ecg = limb_mix() @ windows  # (B, 12, S)
    raster = ecg.shape[2] * RASTER_HZ // SPEC.sampling_hz
    label = torch.full((*ecg.shape[:2], raster), UNKNOWN, dtype=torch.uint8)
    return Cut(ecg, label, torch.full((count, 2, ecg.shape[1], raster), FAR_S)), without


def taught(piece: Cut, logits: Tensor, distance: Tensor, without_p: Tensor) -> Cut:
    """A stretch with the teacher's marks.

    Args:
        piece: the clean stretch.
        logits: (B, class, L, frame) of the teacher.
        distance: (B, 2, L, frame) of the teacher.
        without_p: bool (B,); there P becomes nothing, and so does every doubt between the two, but none that a QRS or
            T has a part in. In the others what stands before a QRS without P is unknown.
    """
    chances = logits.softmax(dim=1)
    probability, label = chances.max(dim=1)
    rhythm = without_p[:, None, None]
    beside_p = F.max_pool1d((label == _P).float(), 2 * _REACH_FRAMES + 1, 1, _REACH_FRAMES) > 0
    bare = rhythm & (chances[:, _NONE] + chances[:, _P] > SURE)
    known = torch.where((probability > SURE) & ~(~rhythm & _before_bare_qrs(label)), label, UNKNOWN)
    near = (distance.abs() <= 1.0) & ~(rhythm & beside_p).unsqueeze(1)
    return Cut(piece.ecg, torch.where(bare, _NONE, known), torch.where(near, distance, FAR_S))


def _before_bare_qrs(label: Tensor) -> Tensor:
    """The frames in which the P of a QRS that has none in its lead would stand, from classes (B, L, frame)."""
    qrs = label == _QRS
    starts = qrs & ~F.pad(qrs, (1, 0))[..., :-1]
    p_before = F.max_pool1d(F.pad((label == _P).float(), (_PR_FRAMES, 0)), _PR_FRAMES, 1)[..., :-1] > 0
    bare = (starts & ~p_before).float()
    return (F.max_pool1d(F.pad(bare, (0, _PR_FRAMES)), _PR_FRAMES, 1)[..., 1:] > 0) & ~qrs
