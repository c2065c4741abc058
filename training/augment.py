"""Changes to training windows that leave their labels true; all draws come from the generator that is passed in."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.signal.spec import SPEC
from training.config import AugmentConfig


def crop(windows: Tensor, patches: int, random: np.random.Generator) -> tuple[Tensor, int]:
    """A stretch of every window at its own offset, and the position of the stretch's first patch.

    Args:
        windows: (B, L, S), mV.
        patches: length of the stretch in time patches; all of them returns the windows as they are.
        random: draws the offsets, and one position for the batch.
    """
    samples = patches * SPEC.patch_samples
    spare = windows.shape[-1] - samples
    if spare <= 0:
        return windows, 0
    offsets = torch.from_numpy(random.integers(spare + 1, size=len(windows))).to(windows.device)
    at = offsets[:, None] + torch.arange(samples, device=windows.device)  # (B, S)
    cropped = torch.gather(windows, 2, at[:, None].expand(-1, windows.shape[1], -1))
    return cropped, int(random.integers(SPEC.patches - patches + 1))


def augment(windows: Tensor, config: AugmentConfig, random: np.random.Generator) -> Tensor:
    """Gain, wander, noise, then silent leads, each drawn a window; (B, L, S) to (B, L, S)."""
    batch, leads, samples = windows.shape

    def tensor(values: npt.NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(windows.device)

    if config.amplitude:
        windows = windows * tensor(np.exp(random.normal(0.0, config.amplitude, (batch, 1, 1))))
    if config.wander_mv:
        windows = windows + tensor(_wander(batch, leads, samples, random)) * config.wander_mv
    if config.noise_mv:
        level = tensor(random.uniform(0.0, config.noise_mv, (batch, leads, 1)) * random.integers(2, size=(batch, 1, 1)))
        windows = windows + level * tensor(random.standard_normal((batch, leads, samples), dtype=np.float32))
    silent = silent_leads(batch, leads, config, random)
    return windows.masked_fill(torch.from_numpy(silent).to(windows.device)[:, :, None], 0.0)


def silent_leads(batch: int, leads: int, config: AugmentConfig, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """(B, L) boolean, True where a lead is to be silent; at least one lead a window stays."""
    silent = random.random((batch, leads)) < config.lead_dropout
    few = random.random((batch, leads)).argsort(axis=1) >= random.integers(1, leads, size=(batch, 1))
    silent |= few & (random.random((batch, 1)) < config.lead_subset)
    silent[silent.all(axis=1), random.integers(leads)] = False
    return silent


def _wander(batch: int, leads: int, samples: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Slow sines of up to one unit, a frequency, a phase and a size for each lead."""
    seconds = np.arange(samples) / SPEC.sampling_hz
    hertz = random.uniform(0.15, 0.6, (batch, leads, 1))
    phase = random.uniform(0.0, 2.0 * np.pi, (batch, leads, 1))
    return np.asarray(random.uniform(0.0, 1.0, (batch, leads, 1)) * np.sin(2.0 * np.pi * hertz * seconds + phase))
