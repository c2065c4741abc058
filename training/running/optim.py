"""AdamW with the parameter groups that transformers want: no decay on vectors, a rate by depth."""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


def adamw(
    parameters: Iterable[tuple[str, nn.Parameter]],
    *,
    rate: float,
    decay: float,
    beta2: float = 0.98,
    scales: Mapping[str, float] | None = None,
) -> torch.optim.AdamW:
    """AdamW without weight decay on biases and norms.

    Args:
        parameters: names and parameters; frozen ones are left out.
        rate: base learning rate; each group keeps it times its scale under `base`.
        decay: weight decay of matrices and kernels.
        beta2: how long squared gradients are remembered.
        scales: factor on the rate by prefix of the name; the longest prefix that fits counts, 1 where none does.
    """
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in parameters:
        if parameter.requires_grad:
            key = (rate * _scale(name, scales or {}), decay if parameter.ndim > 1 else 0.0)
            groups.setdefault(key, []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": members, "lr": base, "base": base, "weight_decay": decay}
            for (base, decay), members in groups.items()
        ],
        betas=(0.9, beta2),
    )


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Scale every group's rate from its own base."""
    for group in optimizer.param_groups:
        group["lr"] = group["base"] * factor


def layerwise_scales(depth: int, decay: float, prefix: str = "encoder") -> dict[str, float]:
    """Rates that shrink by `decay` a block from the last block down to the patch embedding (Bao et al., BEiT, 2021)."""
    scales = {f"{prefix}.blocks.{block}.": decay ** (depth - block) for block in range(depth)}
    return scales | {f"{prefix}.embed.": decay ** (depth + 1), f"{prefix}.norm.": 1.0}


def _scale(name: str, scales: Mapping[str, float]) -> float:
    fitting = [prefix for prefix in scales if re.match(re.escape(prefix), name)]
    return scales[max(fitting, key=len)] if fitting else 1.0
