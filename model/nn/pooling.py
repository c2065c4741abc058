"""Attention pooling: many tokens to one vector, each head with weights of its own."""

import torch
from torch import Tensor, nn


class AttentionPool(nn.Module):
    """Weighted mean of tokens; a head scores the tokens and averages its share of the width."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.score = nn.Linear(dim, heads)
        self.heads = heads

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, D) to (B, D)."""
        batch, count, dim = tokens.shape
        tokens = self.norm(tokens)
        weights = self.score(tokens).softmax(dim=1)  # (B, N, H)
        values = tokens.reshape(batch, count, self.heads, dim // self.heads)  # (B, N, H, D / H)
        return torch.einsum("bnh,bnhd->bhd", weights, values).flatten(1)  # (B, D)
