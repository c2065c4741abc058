"""Changes to training windows that leave their labels true.

What windows share is drawn from the batch's dice, what a window has for itself from its own: a batch looks the same
whichever processes and parts its windows are spread over.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.signal.spec import SPEC
from training.config import AugmentConfig

Dice = np.random.Generator
Floats = npt.NDArray[np.floating]


def dice_of_rows(random: Dice, rows: npt.NDArray[np.int64], config: AugmentConfig) -> list[Dice]:
    """Dice for each row of a part of a batch, by the row's number; `random` is alike in every part of the batch.

    None where nothing is changed: they cost the host 15 us each, for which a card would wait.
    """
    batch = int(random.integers(2**63))
    if not config.changes:
        return []
    return [np.random.default_rng([batch, int(row)]) for row in rows]


def crop(windows: Tensor, patches: int, random: Dice, dice: Sequence[Dice]) -> tuple[Tensor, int]:
    """A stretch of every window at its own offset, and the position of the stretch's first patch.

    Args:
        windows: (B, L, S), mV.
        patches: length of the stretch in time patches; all of them returns the windows as they are.
        random: draws one position for the batch.
        dice: the B windows' own, for their offsets.
    """
    samples = patches * SPEC.patch_samples
    spare = windows.shape[-1] - samples
    if spare <= 0:
        return windows, 0
    offsets = torch.tensor([one.integers(spare + 1) for one in dice], device=windows.device)
    at = offsets[:, None] + torch.arange(samples, device=windows.device)  # (B, S)
    cropped = torch.gather(windows, 2, at[:, None].expand(-1, windows.shape[1], -1))
    return cropped, int(random.integers(SPEC.patches - patches + 1))


def augment(windows: Tensor, config: AugmentConfig, dice: Sequence[Dice]) -> Tensor:
    """Gain, wander, noise, then silent leads, each window by its own of the B dice; (B, L, S) to (B, L, S)."""
    _, leads, samples = windows.shape

    def tensor(values: list[Floats]) -> Tensor:
        return torch.from_numpy(np.stack(values).astype(np.float32)).to(windows.device)

    if config.amplitude:
        windows = windows * tensor([np.exp(one.normal(0.0, config.amplitude, (1, 1))) for one in dice])
    if config.wander_mv:
        windows = windows + tensor([_wander(leads, samples, one) for one in dice]) * config.wander_mv
    if config.noise_mv:
        windows = windows + tensor([_noise(leads, samples, one) for one in dice]) * config.noise_mv
    if not (config.lead_dropout or config.lead_subset):
        return windows
    silent = torch.from_numpy(np.stack([silent_leads(leads, config, one) for one in dice]))
    return windows.masked_fill(silent.to(windows.device)[:, :, None], 0.0)


def silent_leads(leads: int, config: AugmentConfig, random: Dice) -> npt.NDArray[np.bool_]:
    """(L,) boolean, True where a lead of a window is to be silent; at least one stays."""
    silent = random.random(leads) < config.lead_dropout
    if random.random() < config.lead_subset:
        silent |= random.permutation(leads) >= random.integers(1, leads)
    if silent.all():
        silent[random.integers(leads)] = False
    return silent


def _wander(leads: int, samples: int, random: Dice) -> Floats:
    """Slow sines of up to one unit, a frequency, a phase and a size for each lead; (L, S)."""
    seconds = np.arange(samples) / SPEC.sampling_hz
    hertz = random.uniform(0.15, 0.6, (leads, 1))
    phase = random.uniform(0.0, 2.0 * np.pi, (leads, 1))
    return np.asarray(random.uniform(0.0, 1.0, (leads, 1)) * np.sin(2.0 * np.pi * hertz * seconds + phase))


def _noise(leads: int, samples: int, random: Dice) -> Floats:
    """White noise of up to one unit, a level for each lead, in every other window; (L, S)."""
    level = random.uniform(0.0, 1.0, (leads, 1)) * random.integers(2)
    return np.asarray(level * random.standard_normal((leads, samples), dtype=np.float32))
