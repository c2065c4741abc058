"""The ECG-JEPA encoder: 8 leads x 50 time patches as tokens, transformer blocks under Cross-Pattern Attention."""

import torch
from torch import Tensor, nn

from model.nn.attention import CropaAttention, cropa_mask
from model.nn.blocks import Block, initialise, rising
from model.nn.config import EncoderConfig
from model.nn.positions import sincos_2d

# A window spreads about 0.24 mV: patches then start as large as the positions beside them. Started smaller, positions
# alone make the targets, the predictor guesses them, and the representations collapse.
EMBED_STD = 0.5


class Encoder(nn.Module):
    """Windows to tokens.

    Positions are fixed and added before every block. Some time patches can be left out, in every lead alike: the
    tokens then are a smaller grid, and both forms of attention still hold.

    Args:
        config: its sizes.
        drop_path: in training, how often the last block's branches are left out; the first block's never.
    """

    positions: Tensor
    mask: Tensor

    def __init__(self, config: EncoderConfig, drop_path: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Linear(config.patch_samples, config.dim)
        self.blocks = nn.ModuleList(
            Block(
                config.dim,
                CropaAttention(
                    config.dim,
                    config.heads,
                    leads=config.leads,
                    factorised=config.factorised,
                    cropa=config.cropa,
                ),
                rate,
            )
            for rate in rising(drop_path, config.depth)
        )
        self.norm = nn.LayerNorm(config.dim)
        self.apply(initialise)
        nn.init.normal_(self.embed.weight, std=EMBED_STD)
        self.register_buffer("positions", sincos_2d(config.leads, config.patches, config.dim), persistent=False)
        self.register_buffer("mask", cropa_mask(config.leads, config.patches), persistent=False)

    def forward(self, windows: Tensor, visible: Tensor | None = None, start: int = 0) -> Tensor:
        """Tokens of windows.

        Args:
            windows: (B, L, S), mV; S may be fewer than all the patches of the configuration.
            visible: (V,) indices of the time patches to encode; None encodes all that `windows` hold.
            start: the position of the first patch, for crops.

        Returns:
            (B, L * V, D), lead by lead, normalised.
        """
        batch, leads, samples = windows.shape
        count = samples // self.config.patch_samples
        patches = windows.reshape(batch, leads, count, self.config.patch_samples)  # (B, L, P, S)
        at = slice(start, start + count) if visible is None else visible + start
        if visible is not None:
            patches = patches[:, :, visible]
        tokens = self.embed(patches).flatten(1, 2)  # (B, N, D)
        positions = self._grid(self.positions, at)
        mask = self._submask(at)
        for block in self.blocks:
            tokens = block(tokens + positions, mask)
        output: Tensor = self.norm(tokens)
        return output

    def _grid(self, table: Tensor, at: slice | Tensor) -> Tensor:
        """Rows of a (token, D) table for some patches of every lead."""
        if at == slice(0, self.config.patches):
            return table
        return table.reshape(self.config.leads, self.config.patches, -1)[:, at].flatten(0, 1)

    def _submask(self, at: slice | Tensor) -> Tensor | None:
        """The CroPA mask of some patches of every lead; None where attention is factorised or full."""
        if self.config.factorised or not self.config.cropa:
            return None
        if at == slice(0, self.config.patches):
            return self.mask
        tokens = self._grid(torch.arange(len(self.mask), device=self.mask.device)[:, None], at)[:, 0]
        return self.mask[tokens][:, tokens]
