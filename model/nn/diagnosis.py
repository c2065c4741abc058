"""The diagnosis head: tokens and raw window to one logit a statement."""

import torch
from torch import Tensor, nn

from model.nn.config import EncoderConfig
from model.nn.detail import DetailPath, DetailPaths
from model.nn.pooling import AttentionPool

POOL_HEADS = 8


class DiagnosisHead(nn.Module):
    """Attention pooling of the tokens, beside the detail path or paths, then one linear layer."""

    def __init__(self, config: EncoderConfig, statements: int, *, detail: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.width = config.dim
        self.pool = AttentionPool(config.dim, POOL_HEADS)
        self.detail = _build_detail(config.leads, detail)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(config.dim + (self.detail.dim if self.detail else 0), statements)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, tokens: Tensor | None, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and embedding.

        Args:
            tokens: (B, N, D) of the encoder; None while the detail path learns alone, which leaves their share zero.
            windows: (B, L, S), mV.

        Returns:
            (B, C) logits and the (B, E) vector they are a linear function of.
        """
        embedding = windows.new_zeros(len(windows), self.width) if tokens is None else self.pool(tokens)
        if self.detail is not None:
            embedding = torch.cat([embedding, self.detail(windows)], dim=1)  # (B, E)
        return self.linear(self.dropout(embedding)), embedding


def _build_detail(leads: int, paths: int) -> DetailPath | DetailPaths | None:
    """No path, one, or several side by side."""
    if paths > 1:
        return DetailPaths(leads, paths)
    return DetailPath(leads) if paths else None
