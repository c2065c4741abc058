"""Cross-Pattern Attention (CroPA): a token sees its own lead and its own moment, in two equal forms.

Source: Kim, "Learning General Representation of 12-Lead Electrocardiogram with a Joint-Embedding Predictive
Architecture", arXiv 2410.08559. Tokens come lead by lead: token = lead * patches + patch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def cropa_mask(leads: int, patches: int) -> Tensor:
    """Boolean (token, token), True where a query may see a key: same lead or same patch, itself included."""
    lead = torch.arange(leads).repeat_interleave(patches)
    patch = torch.arange(patches).repeat(leads)
    return (lead[:, None] == lead[None, :]) | (patch[:, None] == patch[None, :])


def masked_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Dense attention under a mask; all tensors (B, H, N, D), mask (N, N) or None for full attention."""
    scale = query.shape[-1] ** -0.5  # said, or a graph works it out of the shape on the host, and no card can record it
    attended: Tensor = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
    return attended


def factorised_attention(query: Tensor, key: Tensor, value: Tensor, leads: int) -> Tensor:
    """CroPA without the masked pairs: scores along the lead and across leads under one softmax.

    The token itself stands in both; the score across leads leaves it out, so that it counts once.

    Args:
        query: (B, H, N, D) with N = leads * patches.
        key: like `query`.
        value: like `query`.
        leads: how many leads the tokens come from.

    Returns:
        (B, H, N, D), equal to `masked_attention` under `cropa_mask`.
    """
    batch, heads, tokens, dim = query.shape
    patches = tokens // leads
    grid = (batch, heads, leads, patches, dim)
    query, key, value = (one.reshape(grid) for one in (query * dim**-0.5, key, value))  # (B, H, L, P, D)
    across_query, across_key, across_value = (one.transpose(2, 3) for one in (query, key, value))  # (B, H, P, L, D)
    along = query @ key.transpose(-1, -2)  # (B, H, L, P, P)
    across = across_query @ across_key.transpose(-1, -2)  # (B, H, P, L, L)
    itself = torch.eye(leads, dtype=torch.bool, device=query.device)
    across = across.masked_fill(itself, torch.finfo(across.dtype).min).transpose(2, 3)  # (B, H, L, P, L)
    weights = torch.cat([along, across], dim=-1).softmax(dim=-1)  # (B, H, L, P, P + L)
    attended = weights[..., :patches] @ value  # (B, H, L, P, D)
    attended = attended + (weights[..., patches:].transpose(2, 3) @ across_value).transpose(2, 3)
    return attended.reshape(batch, heads, tokens, dim)


class CropaAttention(nn.Module):
    """Multi-head attention whose form is chosen at construction; the weights are the same in both.

    Args:
        dim: width of a token.
        heads: divides `dim`.
        leads: rows of the token grid.
        factorised: which of the two equal forms computes.
        cropa: False lets every token see every other.
    """

    def __init__(self, dim: int, heads: int, *, leads: int, factorised: bool, cropa: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.leads = leads
        self.factorised = factorised and cropa
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, D) to (B, N, D); the masked form takes its (N, N) mask, the factorised form ignores it."""
        batch, count, dim = tokens.shape
        qkv = self.qkv(tokens).reshape(batch, count, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B, H, N, D)
        if self.factorised:
            attended = factorised_attention(query, key, value, self.leads)
        else:
            attended = masked_attention(query, key, value, mask)
        output: Tensor = self.proj(attended.transpose(1, 2).reshape(batch, count, dim))
        return output
