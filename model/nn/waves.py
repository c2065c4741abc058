"""The wave head: what each lead shows at each moment (nothing, P, QRS or T), and how far the next boundary is.

A U-Net over time (Moskalenko et al., "Deep Learning for ECG Segmentation", 2020) whose weights are shared by the leads;
at its coarse levels every lead also sees the mean over all leads and the whole window, and the encoder's tokens where
there are any. Besides the class it regresses the distance to the nearest onset and offset, which places a boundary
between two frames.
"""

import copy
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.reading.delineation import OFFSET_STEP_MS
from model.signal.leads import standard_from_model

CLASSES = ("none", "P", "QRS", "T")
REACH_MS = 40.0  # five frames: how far from a boundary its distance is learnt
WAVE_OUTPUTS = ("wave_label", "wave_probability", "wave_distance")


@dataclass(frozen=True)
class WaveHeadConfig:
    """Shape of a wave head.

    Attributes:
        widths: channels at 125 Hz and at each halving of it.
        kernel: frames that a convolution spans.
        token_dim: width of the encoder's tokens; 0 for a head that does without them.
        folded: without normalisation layers, which `folded` has put into the convolutions.
    """

    widths: tuple[int, ...] = (16, 24, 32, 48, 64)
    kernel: int = 5
    token_dim: int = 0
    folded: bool = False


class _Convolution(nn.Module):
    """Convolution over time, normalised over the batch, then ReLU."""

    def __init__(self, inner: int, outer: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(
            inner, outer, (1, kernel), stride=(1, stride), padding=(0, padding), dilation=(1, dilation)
        )
        self.norm: nn.Module = nn.BatchNorm2d(outer)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = F.relu(self.norm(self.conv(x)))
        return output


class _Block(nn.Module):
    """Two convolutions with a residual path."""

    def __init__(self, width: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = _Convolution(width, width, kernel)
        self.second = _Convolution(width, width, kernel, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = x + self.second(self.first(x))
        return output


class _AcrossLeads(nn.Module):
    """Adds to every lead what the mean over the leads that carry a signal says."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, share: Tensor) -> Tensor:
        output: Tensor = x + self.mix((x * share).sum(dim=2, keepdim=True))  # (B, D, 1, T) spreads over L
        return output


class WaveNet(nn.Module):
    """Class logits and boundary distances of any number of leads.

    Args:
        config: its shape.
    """

    def __init__(self, config: WaveHeadConfig) -> None:
        super().__init__()
        widths, kernel = config.widths, config.kernel
        self.config = config
        self.stem = _Convolution(2, widths[0], 9, stride=2)
        self.encode = nn.ModuleList(_Block(width, kernel) for width in widths[:-1])
        self.down = nn.ModuleList(_Convolution(a, b, 3, stride=2) for a, b in pairwise(widths))
        self.across_down = nn.ModuleList(_AcrossLeads(width) for width in widths[2:])
        self.tokens = nn.Conv2d(config.token_dim, widths[-1], 1) if config.token_dim else None
        self.whole = nn.Conv2d(widths[-1], widths[-1], 1)
        self.bottom = nn.Sequential(*(_Block(widths[-1], 3, dilation) for dilation in (1, 2, 4)))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.across_up = nn.ModuleList(_AcrossLeads(width) for width in widths[:-1])
        self.decode = nn.ModuleList(_Block(width, kernel) for width in widths[:-1])
        self.out = nn.Conv2d(widths[0], len(CLASSES) + 2, 1)
        if config.folded:
            for part in self.modules():
                if isinstance(part, _Convolution):
                    part.norm = nn.Identity()

    def forward(self, ecg: Tensor, tokens: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What each lead shows.

        Args:
            ecg: (B, L, S) mV at 250 Hz; a lead of zeros is ignored by the others.
            tokens: (B, D, L, P) of the encoder, one row a lead of `ecg`.

        Returns:
            Class logits (B, class, L, T) and distances to the nearest onset and offset (B, 2, L, T) in units of
            `REACH_MS`, one frame every 8 ms.
        """
        x, share = _normalised(ecg)
        x = self.stem(x)
        skips = []
        for level, (block, down) in enumerate(zip(self.encode, self.down, strict=True)):
            skips.append(block(x))
            x = down(skips[-1])
            if level >= 1:
                x = self.across_down[level - 1](x, share)
        if self.tokens is not None and tokens is not None:
            x = x + F.interpolate(self.tokens(tokens), size=x.shape[2:], mode="bilinear", align_corners=False)
        x = x + self.whole((x * share).sum(dim=2, keepdim=True).mean(dim=3, keepdim=True))  # the rhythm, (B, D, 1, 1)
        x = self.bottom(x)
        for level in reversed(range(len(skips))):
            x = F.interpolate(self.up[level](x), scale_factor=(1.0, 2.0), mode="nearest")
            x = self.across_up[level](x[..., : skips[level].shape[3]] + skips[level], share)
            x = self.decode[level](x)
        out = self.out(x)  # (B, class + 2, L, T)
        return out[:, : len(CLASSES)], out[:, len(CLASSES) :]


def _normalised(ecg: Tensor) -> tuple[Tensor, Tensor]:
    """The signal in mV and in units of its own spread, and each lead's share in a mean over live leads."""
    spread = ecg.square().mean(dim=2, keepdim=True).sqrt()  # (B, L, 1)
    live = (spread > 1e-3).to(ecg.dtype)
    x = torch.stack([ecg, ecg / (spread + 0.02)], dim=1)  # (B, 2, L, S)
    share = live / live.sum(dim=1, keepdim=True).clamp(min=1.0)
    return x, share.unsqueeze(1)  # (B, 1, L, 1)


class TwelveLeadHead(nn.Module):
    """The wave head as it stands in the diagnosis graph: from the eight leads of the network to twelve.

    Args:
        net: a trained network, folded.
    """

    mix: Tensor
    token_mix: Tensor

    def __init__(self, net: WaveNet) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mix", limb_mix(), persistent=False)
        self.register_buffer("token_mix", token_mix(), persistent=False)

    def forward(self, windows: Tensor, tokens: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """What leaves the graph for the twelve standard leads.

        Args:
            windows: (B, 8, S), mV.
            tokens: (B, N, D) of the encoder, lead by lead; None, or ignored, for a head that does without them.

        Returns:
            As `compact`.
        """
        ecg = self.mix @ windows  # (B, 12, S)
        if tokens is None or self.net.tokens is None:
            return compact(*self.net(ecg))
        return compact(*self.net(ecg, spread_tokens(tokens, self.token_mix)))


class AnyLeadHead(nn.Module):
    """The wave head on its own, without an encoder: any number of leads of any kind.

    Args:
        net: a trained network, folded.
    """

    def __init__(self, net: WaveNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, ecg: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `compact`, from (B, L, S) in mV."""
        return compact(*self.net(ecg))


def spread_tokens(tokens: Tensor, mix: Tensor) -> Tensor:
    """Tokens (B, 8 * P, D), lead by lead, to (B, D, 12, P): a derived lead has the mean of those it comes from."""
    batch, count, width = tokens.shape
    by_lead = tokens.reshape(batch, mix.shape[1], count // mix.shape[1] * width)  # (B, 8, P * D)
    return (mix @ by_lead).reshape(batch, mix.shape[0], -1, width).permute(0, 3, 1, 2)  # (B, D, 12, P)


def limb_mix() -> Tensor:
    """The twelve standard leads as sums of the eight that the network takes, (12, 8)."""
    return torch.from_numpy(standard_from_model().copy())


def token_mix() -> Tensor:
    """The share of each of the eight leads' tokens in those of the twelve leads, (12, 8)."""
    from_it = (limb_mix() != 0).float()
    return from_it / from_it.sum(dim=1, keepdim=True)


def folded(net: WaveNet) -> WaveNet:
    """The same function without normalisation layers: a third faster on a CPU."""
    twin = WaveNet(replace(net.config, folded=True))
    source = copy.deepcopy(net).eval()
    for part in source.modules():
        if isinstance(part, _Convolution) and isinstance(part.norm, nn.BatchNorm2d):
            part.conv = fuse_conv_bn_eval(part.conv, part.norm)
            part.norm = nn.Identity()
    twin.load_state_dict(source.state_dict())
    return twin.eval()


def compact(logits: Tensor, distances: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What leaves the graph: little enough to be copied back thousands of times a second.

    Args:
        logits: (B, class, L, T).
        distances: (B, 2, L, T).

    Returns:
        `wave_label` uint8 (B, L, T), `wave_probability` of that class uint8 (B, L, T) in 1/255, and `wave_distance`
        int8 (B, L, 2, T) in steps of `OFFSET_STEP_MS`.
    """
    probability, label = logits.softmax(dim=1).max(dim=1)
    steps = (distances * (REACH_MS / OFFSET_STEP_MS)).clamp(-127.0, 127.0).round()
    return label.to(torch.uint8), (probability * 255.0).round().to(torch.uint8), steps.transpose(1, 2).to(torch.int8)
