"""The published ECG-JEPA checkpoints: their key names, their sizes, and a state dict in ours."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from model.errors import BundleError
from model.nn.config import EncoderConfig, PredictorConfig

# Their name to ours, in order; positions are fixed tables and are checked, not loaded.
_RENAMES = (
    (r"^(encoder|target_encoder)\.encoder_blocks\.blocks\.", r"\1.blocks."),
    (r"^(encoder|target_encoder)\.W_P\.", r"\1.embed."),
    (r"^predictor\.predictor_blocks\.blocks\.", "predictor.blocks."),
    (r"^predictor\.predictor_(embed|norm|proj)\.", r"predictor.\1."),
)


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict under our names.

    Args:
        state: the whole training state (`encoder.*`, `target_encoder.*`, `predictor.*`), or a published encoder's
            own keys without a prefix.

    Returns:
        Keys `encoder.*`, and `target_encoder.*` and `predictor.*` where they were given.
    """
    if not any(key.startswith("encoder.") for key in state):
        state = {f"encoder.{key}": value for key, value in state.items()}
    renamed = {}
    for key, value in state.items():
        for pattern, ours in _RENAMES:
            key = re.sub(pattern, ours, key)  # noqa: PLW2901 - each rename sees the one before
        if not key.endswith("pos_embed"):
            renamed[key] = value
    return renamed


def published_sizes(state: Mapping[str, Tensor], heads: int) -> EncoderConfig:
    """Sizes of an encoder read off a renamed state dict; the number of heads is not in the weights.

    Raises:
        BundleError: the keys are not those of an ECG-JEPA encoder.
    """
    try:
        dim, patch_samples = state["encoder.embed.weight"].shape
    except KeyError:
        raise BundleError("no encoder.embed.weight: not the state of an ECG-JEPA encoder") from None
    return EncoderConfig(dim=dim, depth=_depth(state, "encoder"), heads=heads, patch_samples=patch_samples)


def published_predictor_sizes(state: Mapping[str, Tensor], heads: int) -> PredictorConfig:
    """Sizes of a predictor read off a renamed state dict.

    Raises:
        BundleError: there is no predictor among the keys.
    """
    if "predictor.embed.weight" not in state:
        raise BundleError("no predictor.embed.weight: the state holds no predictor")
    return PredictorConfig(dim=state["predictor.embed.weight"].shape[0], depth=_depth(state, "predictor"), heads=heads)


def part(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The entries under `name.`, without it."""
    return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}


def _depth(state: Mapping[str, Tensor], name: str) -> int:
    return len({key.split(".")[2] for key in state if key.startswith(f"{name}.blocks.")})


def as_tensors(arrays: Mapping[str, object]) -> dict[str, Tensor]:
    """Arrays or tensors as float tensors."""
    return {key: torch.as_tensor(value).float() for key, value in arrays.items()}
