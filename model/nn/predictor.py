"""The JEPA predictor: from the visible tokens of a lead to the representations of its hidden patches."""

import torch
from torch import Tensor, nn

from model.nn.attention import CropaAttention
from model.nn.blocks import Block, initialise, rising
from model.nn.config import EncoderConfig, PredictorConfig
from model.nn.positions import sincos_2d


class Predictor(nn.Module):
    """Predicts each lead on its own, so that other leads' content reaches it only through the encoder.

    Args:
        config: its sizes.
        encoder: sizes of the encoder whose tokens it takes.
        drop_path: in training, how often the last block's branches are left out; the first block's never.
    """

    positions: Tensor

    def __init__(self, config: PredictorConfig, encoder: EncoderConfig, drop_path: float = 0.0) -> None:
        super().__init__()
        self.leads = encoder.leads
        self.patches = encoder.patches
        self.embed = nn.Linear(encoder.dim, config.dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.dim))
        self.blocks = nn.ModuleList(
            Block(
                config.dim,
                CropaAttention(config.dim, config.heads, leads=1, factorised=False, cropa=False),
                rate,
            )
            for rate in rising(drop_path, config.depth)
        )
        self.norm = nn.LayerNorm(config.dim)
        self.proj = nn.Linear(config.dim, encoder.dim)
        self.apply(initialise)
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.register_buffer("positions", sincos_2d(1, self.patches, config.dim), persistent=False)

    def forward(self, context: Tensor, visible: Tensor, hidden: Tensor) -> Tensor:
        """Predictions of the hidden patches.

        Args:
            context: (B, L * V, D) tokens of the visible patches.
            visible: (V,) their time patches.
            hidden: (M,) time patches to predict.

        Returns:
            (B, L, M, D).
        """
        batch = context.shape[0]
        tokens = self.embed(context).reshape(batch * self.leads, len(visible), -1)  # (B * L, V, D)
        masks = self.mask_token.expand(len(tokens), len(hidden), -1)  # (B * L, M, D)
        tokens = torch.cat([tokens, masks], dim=1)
        positions = torch.cat([self.positions[visible], self.positions[hidden]])
        for block in self.blocks:
            tokens = block(tokens + positions, None)
        predicted: Tensor = self.proj(self.norm(tokens[:, len(visible) :]))
        return predicted.reshape(batch, self.leads, len(hidden), -1)  # (B, L, M, D)
