"""Unmarked records whose rhythm is known: a running teacher marks them, and fibrillation is told to have no P wave.

The teacher is the mean of the learner's weights (Tarvainen and Valpola, "Mean teachers", 2017). It sees the clean
stretch, the learner a changed one, and only what the teacher is sure of counts. LUDB has P waves in nearly every
record, so that a network learns to expect them; a thousand records in fibrillation and flutter teach it when not to.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from model.nn.waves import limb_mix
from model.signal.spec import SPEC
from training.dataset import PreparedSet
from training.errors import TrainingError
from training.wave_augment import Cut
from training.wave_targets import FAR_S, RASTER_HZ, UNKNOWN

SURE = 0.9
_NONE, _P = 0, 1
_REACH_FRAMES = 5


@dataclass(frozen=True, eq=False)
class Rhythms:
    """Windows by what is known of their P waves.

    Attributes:
        windows: float16 (W, 8, sample), mV.
        without_p: rows in atrial fibrillation or flutter.
        with_p: rows in sinus rhythm.
    """

    windows: npt.NDArray[np.float16]
    without_p: npt.NDArray[np.intp]
    with_p: npt.NDArray[np.intp]


def read_rhythms(prepared: PreparedSet) -> Rhythms:
    """The train split of a prepared folder by rhythm; paced records are left out.

    Raises:
        TrainingError: no record in fibrillation, or none in sinus rhythm.
    """
    fibrillation, flutter, sinus, paced = prepared.labels_of(("AF", "AFL", "NSR", "PACE")).T == 1
    train = prepared.splits == "train"
    without_p = train & (fibrillation | flutter) & ~paced & ~sinus
    with_p = train & sinus & ~(fibrillation | flutter | paced)
    if not (without_p.any() and with_p.any()):
        raise TrainingError(f"{prepared.folder} has no records with and without fibrillation in its train split")
    rows = (np.flatnonzero(chosen[prepared.window_record]) for chosen in (without_p, with_p))
    return Rhythms(prepared.windows, *rows)


def draw_rhythms(rhythms: Rhythms, count: int, draw: Generator) -> tuple[Cut, Tensor]:
    """Some ECGs in the twelve leads with everything unknown, and which of them have no P, bool (B,)."""
    without = torch.arange(count) % 2 == 0
    rows = [
        int(pool[int(torch.randint(len(pool), (), generator=draw))])
        for pool in (rhythms.without_p if one else rhythms.with_p for one in without.tolist())
    ]
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
        without_p: bool (B,); there P becomes nothing, and so does every doubt between the two.
    """
    probability, label = logits.softmax(dim=1).max(dim=1)
    rhythm = without_p[:, None, None]
    beside_p = F.max_pool1d((label == _P).float(), 2 * _REACH_FRAMES + 1, 1, _REACH_FRAMES) > 0
    bare = rhythm & ((label == _P) | (label == _NONE))
    known = torch.where(probability > SURE, label, UNKNOWN)
    near = (distance.abs() <= 1.0) & ~(rhythm & beside_p).unsqueeze(1)
    return Cut(piece.ecg, torch.where(bare, _NONE, known), torch.where(near, distance, FAR_S))
