"""The pre-norm transformer block that encoder and predictor share, and its initialisation."""

import torch.nn.functional as F
from torch import Tensor, nn

from model.nn.attention import CropaAttention


class Mlp(nn.Module):
    """Two layers with a GELU between; hidden width four times the input's."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, D) to (B, N, D)."""
        output: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return output


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): in training a window goes without a branch now and then, by torch's dice.

    Args:
        rate: chance of a window to go without; the others get so much more of the branch.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """(B, N, D) to (B, N, D)."""
        if not (self.training and self.rate):
            return branch
        return branch * F.dropout(branch.new_ones(len(branch), 1, 1), self.rate)


class Block(nn.Module):
    """Attention, then MLP, each on normalised tokens and added to its input."""

    def __init__(self, dim: int, attention: CropaAttention, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = attention
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, D) to (B, N, D)."""
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens), mask))
        output: Tensor = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return output


def rising(drop_path: float, depth: int) -> list[float]:
    """The rate of each block, on a line from the first one's 0 to the last one's `drop_path`."""
    return [drop_path * block / max(1, depth - 1) for block in range(depth)]


def initialise(module: nn.Module) -> None:
    """Xavier-uniform matrices, zero biases, unit norms: branches that speak at any width, from the first step on."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
