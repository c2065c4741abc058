"""Sizes of a network."""

from dataclasses import dataclass

from model.signal.spec import SPEC


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of an encoder; `leads` x `patches` tokens of `dim`.

    Attributes:
        dim: width of a token.
        depth: blocks.
        heads: attention heads; divides `dim`.
        factorised: row and column attention under one softmax instead of dense attention under a mask.
        cropa: False opens every key to every query, for the ablation.
    """

    dim: int = 128
    depth: int = 6
    heads: int = 4
    leads: int = len(SPEC.leads)
    patches: int = SPEC.patches
    patch_samples: int = SPEC.patch_samples
    factorised: bool = True
    cropa: bool = True


@dataclass(frozen=True)
class PredictorConfig:
    """Sizes of a predictor."""

    dim: int = 64
    depth: int = 4
    heads: int = 4
