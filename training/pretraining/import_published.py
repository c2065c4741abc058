"""The authors' published checkpoint as an encoder that fine-tuning and export start from."""

from pathlib import Path
from typing import Any

import torch

from model.nn.config import EncoderConfig
from model.nn.encoder import Encoder
from model.nn.published import as_tensors, from_published, part, published_sizes
from training.errors import TrainingError
from training.running.checkpoint import write_checkpoint

SOURCES = ("challenge", "code15")
"""What the authors pretrained on: Chapman-Shaoxing and Ningbo, which are of the challenge, and CODE-15%."""
HEADS = {768: 16, 384: 6, 192: 3, 128: 4}  # the weights do not tell; the published encoder is 768 wide with 16


def run(file: Path, out: Path) -> dict[str, object]:
    """Write an encoder's file from a published one.

    Args:
        file: what the authors saved: a state dict, alone or under `encoder`.
        out: checkpoint to write.

    Returns:
        The sizes that `[model]` needs to start from it, `heads` None where no published encoder is as wide, and the
        databases that it learned from, which a bundle of it will name.

    Raises:
        TrainingError: the file cannot be read, or holds no ECG-JEPA encoder.
    """
    state = from_published(as_tensors(_state(file)))
    heads = HEADS.get(_width(state))
    sizes = published_sizes(state, heads or 1)
    encoder = part(state, "encoder")
    _require_whole(encoder, sizes, file)
    write_checkpoint(out, {"encoder": encoder, "sources": list(SOURCES)})
    said = {"dim": sizes.dim, "depth": sizes.depth, "heads": heads, "learned_from": list(SOURCES)}
    return {"encoder": str(out), **said}


def _state(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a state dict in a file, without what else may stand beside them."""
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise TrainingError(f"no file at {file}") from None
    except Exception as error:  # whatever an unpickler makes of other files
        raise TrainingError(f"{file} is not a checkpoint: {type(error).__name__}") from error
    if not isinstance(loaded, dict):
        raise TrainingError(f"{file} is not a checkpoint: it holds a {type(loaded).__name__}")
    inner = loaded.get("encoder", loaded)
    state: dict[str, Any] = inner if isinstance(inner, dict) else loaded
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def _require_whole(weights: dict[str, torch.Tensor], sizes: EncoderConfig, file: Path) -> None:
    """Raise TrainingError unless an encoder takes just these weights."""
    try:
        Encoder(sizes).load_state_dict(weights)
    except (RuntimeError, ValueError) as error:
        what = str(error).splitlines()[-1].strip()
        raise TrainingError(f"{file} holds no whole ECG-JEPA encoder: {what}") from None


def _width(state: dict[str, torch.Tensor]) -> int:
    weight = state.get("encoder.embed.weight")
    return 0 if weight is None else len(weight)
