"""The detail path: a residual convolutional network over the raw window, for what 200-ms tokens are too coarse for.

Blocks after He et al. 2016, in one dimension as in Wang et al. 2017 (resnet1d_wang of the PTB-XL benchmark).
"""

import torch
from torch import Tensor, nn

# (width, kernel, stride) of each block; 250 Hz in, about 8 Hz out.
BLOCKS = ((64, 7, 2), (96, 5, 2), (96, 5, 1), (160, 5, 2), (160, 5, 1), (256, 3, 2), (256, 3, 1))
STEM = (48, 15, 2)
DETAIL_DIM = 2 * BLOCKS[-1][0]
"""Length of the vector that one path makes of a window."""


class ResidualBlock(nn.Module):
    """Two convolutions and a shortcut, which averages where the block strides."""

    def __init__(self, inputs: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, width, kernel, stride, padding=kernel // 2, bias=False)
        self.norm1 = nn.BatchNorm1d(width)
        self.conv2 = nn.Conv1d(width, width, kernel, padding=kernel // 2, bias=False)
        self.norm2 = nn.BatchNorm1d(width)
        self.pool = nn.AvgPool1d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.match = nn.Conv1d(inputs, width, 1, bias=False) if inputs != width else nn.Identity()
        nn.init.zeros_(self.norm2.weight)

    def forward(self, signal: Tensor) -> Tensor:
        """(B, C, S) to (B, width, S / stride)."""
        inner = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(signal)))))
        return torch.relu(inner + self.match(self.pool(signal)))


class DetailPath(nn.Module):
    """All leads of a window as channels, down to one vector: means and maxima over time."""

    def __init__(self, leads: int) -> None:
        super().__init__()
        width, kernel, stride = STEM
        self.stem = nn.Conv1d(leads, width, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm1d(width)
        widths = [width, *(block[0] for block in BLOCKS)]
        self.blocks = nn.Sequential(
            *(ResidualBlock(inputs, *block) for inputs, block in zip(widths, BLOCKS, strict=False))
        )
        self.dim = DETAIL_DIM

    def forward(self, windows: Tensor) -> Tensor:
        """(B, L, S) to (B, dim)."""
        features: Tensor = self.blocks(torch.relu(self.norm(self.stem(windows))))  # (B, C, T)
        return torch.cat([features.mean(dim=-1), features.amax(dim=-1)], dim=1)


class DetailPaths(nn.Module):
    """Detail paths that learned apart, side by side: an ensemble that shares everything else of its network."""

    def __init__(self, leads: int, count: int) -> None:
        super().__init__()
        self.paths = nn.ModuleList(DetailPath(leads) for _ in range(count))
        self.dim = count * DETAIL_DIM

    def forward(self, windows: Tensor) -> Tensor:
        """(B, L, S) to (B, dim), path by path."""
        return torch.cat([path(windows) for path in self.paths], dim=1)
