"""Cuts and changes of marked ECGs that leave their marks true: rate, size, band, noise, lost leads and no heart at all.

Networks for delineation fail in tachycardia, see waves in noise and learn one database's filters: each has its change.
All draws come from the generator that is passed in.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from model.nn.waves import REACH_MS
from model.signal.spec import SPEC
from training.waves.targets import RASTER_HZ, UNKNOWN

FRAME_SAMPLES = 2
STRETCH = (0.7, 1.4)
_FAR = 9.0


@dataclass(frozen=True, eq=False)
class Cut:
    """A batch as the network learns from it.

    Attributes:
        ecg: float32 (B, L, sample), mV.
        label: int64 (B, L, frame); `UNKNOWN` is left out of the loss.
        distance: float32 (B, 2, L, frame), in units of `REACH_MS`; beyond 1 is left out of the loss.
    """

    ecg: Tensor
    label: Tensor
    distance: Tensor


def cut(whole: Cut, samples: int, draw: Generator) -> Cut:
    """A stretch of each ECG, half of them slowed down or sped up.

    Args:
        whole: `ecg` at 250 Hz; `label` (B, L, raster) and `distance` (B, 2, L, raster), in seconds, at `RASTER_HZ`.
        samples: of the stretch.
        draw: where randomness comes from.
    """
    batch, leads, length = whole.ecg.shape
    stretch = torch.exp(torch.empty(batch, 1).uniform_(*map(math.log, STRETCH), generator=draw))
    stretch[torch.rand(batch, generator=draw) < 0.5] = 1.0
    room = (length - 1 - samples / stretch).clamp(min=0.0)
    start = torch.rand(batch, 1, generator=draw) * room
    start = torch.where(stretch == 1.0, start.floor(), start)
    at = start + torch.arange(samples) / stretch  # (B, sample), in samples of `whole`
    inside = (at <= length - 1).unsqueeze(1)
    ecg = _between(whole.ecg, at.clamp(max=length - 1.001)) * inside
    raster_at = at[:, ::FRAME_SAMPLES] * (RASTER_HZ / SPEC.sampling_hz)
    index = raster_at.round().long().clamp(max=whole.label.shape[2] - 1)
    label = whole.label.gather(2, index.unsqueeze(1).expand(-1, leads, -1)).long()
    label = torch.where(inside[..., ::FRAME_SAMPLES], label, UNKNOWN)
    distance_s = whole.distance.gather(3, index[:, None, None].expand(-1, 2, leads, -1))
    distance_s = distance_s - ((raster_at - index) / RASTER_HZ)[:, None, None]
    return Cut(ecg, label, distance_s * stretch[:, :, None, None] * (1000.0 / REACH_MS))


def change(clean: Cut, draw: Generator) -> Cut:
    """Another size, a narrower band, noise, a wandering baseline; some leads and some whole ECGs without a heart."""
    batch, leads, samples = clean.ecg.shape
    size = torch.randn(batch, 1, 1, generator=draw) * 0.35 + torch.randn(batch, leads, 1, generator=draw) * 0.2
    blur = torch.rand(batch, generator=draw) * 2.2 * _some(0.4, (batch,), draw)
    ecg = blurred(clean.ecg * size.exp(), blur)
    level = torch.empty(batch, leads, 1).uniform_(-6.0, -2.6, generator=draw).exp()
    wander = wandering((batch, leads, samples), draw) * 0.3 * _some(0.3, (batch, 1, 1), draw)
    ecg = ecg + wander + level * _some(0.5, (batch, 1, 1), draw) * noise((batch, leads, samples), draw)
    heartless = (_some(0.06, (batch, 1, 1), draw) + _some(0.03, (batch, leads, 1), draw)) > 0
    loud = torch.empty(batch, leads, 1).uniform_(-5.0, 1.6, generator=draw).exp() * _some(0.8, (batch, leads, 1), draw)
    return Cut(
        torch.where(heartless, lifeless((batch, leads, samples), draw) * loud + wander, ecg),
        torch.where(heartless, 0, clean.label),
        torch.where(heartless.unsqueeze(1), _FAR, clean.distance),
    )


def noise(shape: tuple[int, int, int], draw: Generator) -> Tensor:
    """Noise of unit spread, each ECG's in a band of its own, some of it in bursts."""
    batch, leads, _ = shape
    raw = blurred(torch.randn(shape, generator=draw), 0.5 + 3.0 * torch.rand(batch, generator=draw))
    swell = (wandering(shape, draw) + 1.0) / 2.0
    bursts = _some(0.3, (batch, leads, 1), draw)
    return raw / raw.std(dim=2, keepdim=True) * (1.0 - bursts + bursts * swell)


def lifeless(shape: tuple[int, int, int], draw: Generator) -> Tensor:
    """What no heart makes, a third of it clipped; half of the ECGs have the same in every lead.

    Noise, also in bursts at a heart's pace, a random walk, jumps that settle; tones, square waves and ramps of 0.3 to
    60 Hz.
    """
    batch, leads, samples = shape
    alone = _some(0.5, (batch, 1, 1), draw) > 0
    hz, phase, kind, level = (
        torch.where(alone, one, one[:, :1]) for one in torch.rand(4, batch, leads, 1, generator=draw).unbind()
    )
    turns = 0.3 * 200.0**hz * torch.arange(samples) / SPEC.sampling_hz + phase
    tone = torch.sin(2 * math.pi * turns)
    own = noise(shape, draw)
    walk = torch.randn(shape, generator=draw).cumsum(dim=2) / samples**0.5
    bursts = 2.0 * own * _pulses(hz, phase, samples)
    kinds = torch.stack([own, bursts, walk, _settling(shape, hz, draw), tone, tone.sign(), 2.0 * (turns % 1.0) - 1.0])
    picked = kinds.gather(0, (kind * len(kinds)).long().unsqueeze(0).expand(1, *shape))[0]
    level = torch.where(level < 1 / 3, 6.0 * level + 0.1, torch.inf)
    return torch.maximum(torch.minimum(picked + 0.05 * own, level), -level)


def _pulses(pace: Tensor, phase: Tensor, samples: int) -> Tensor:
    """Bumps of 30 to 100 ms to either side of their middle, 40 to 160 a minute, (B, L, sample); both from 0 to 1."""
    hz = (40.0 + 120.0 * pace) / 60.0
    away_s = ((hz * torch.arange(samples) / SPEC.sampling_hz + phase) % 1.0 - 0.5) / hz
    return torch.exp(-((away_s / (0.03 + 0.07 * phase)) ** 2))


def _settling(shape: tuple[int, int, int], pace: Tensor, draw: Generator) -> Tensor:
    """Jumps at random times, one to fifteen in ten seconds, each dying away over 40 ms to 2 s."""
    rate = (1.0 + 14.0 * pace) / (10.0 * SPEC.sampling_hz)
    jumps = torch.randn(shape, generator=draw) * (torch.rand(shape, generator=draw) < rate)
    lasting = 0.04 * 50.0 ** torch.rand(*shape[:2], 1, generator=draw) * SPEC.sampling_hz  # samples
    turns = 2j * math.pi * torch.fft.rfftfreq(shape[2])
    settled: Tensor = torch.fft.irfft(torch.fft.rfft(jumps) * lasting / (1.0 + lasting * turns), shape[2])
    return settled


def wandering(shape: tuple[int, int, int], draw: Generator) -> Tensor:
    """A slow sine in each lead, 0.15 to 0.65 Hz."""
    hz, phase = (torch.rand(*shape[:2], 1, generator=draw) for _ in range(2))
    return torch.sin(2 * math.pi * ((hz * 0.5 + 0.15) * torch.arange(shape[2]) / SPEC.sampling_hz + phase))


def blurred(ecg: Tensor, width: Tensor) -> Tensor:
    """(B, L, sample) under a Gaussian of its own width a row, in samples; 0 leaves it as it is."""
    reach = 8
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / width.clamp(min=0.05)[:, None]) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    return F.conv1d(ecg.transpose(0, 1), kernel.unsqueeze(1), padding=reach, groups=len(width)).transpose(0, 1)


def _between(ecg: Tensor, at: Tensor) -> Tensor:
    """Values of (B, L, sample) at real places (B, sample), on the line between neighbours."""
    left = at.floor().long().unsqueeze(1).expand(-1, ecg.shape[1], -1)
    share = (at - at.floor()).unsqueeze(1)
    return ecg.gather(2, left) * (1.0 - share) + ecg.gather(2, left + 1) * share


def _some(share: float, shape: tuple[int, ...], draw: Generator) -> Tensor:
    """Ones for about a share of places, zeros for the others."""
    return (torch.rand(shape, generator=draw) < share).float()
