"""Several fine-tuned networks as one whose logits are a mean of theirs: their detail paths stand side by side."""

from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from training.errors import TrainingError
from training.running.checkpoint import write_checkpoint
from training.running.state import Trained, read_trained

_LINEAR = ("head.linear.weight", "head.linear.bias")
_DETAIL = "head.detail."


def run(
    start: Path, others: list[Path], out: Path, *, share: float | None = None, leave_tokens: bool = False
) -> dict[str, object]:
    """Write the merged network.

    Args:
        start: the network whose encoder stays, with a detail path or without; a checkpoint or a bundle.
        others: networks whose detail path is put beside it.
        out: checkpoint to write.
        share: as of `merge`, at each of the others.
        leave_tokens: as of `merge`.

    Returns:
        Where it lies, and how many detail paths it has.

    Raises:
        TrainingError: something is no fine-tuned network, or the networks do not fit each other.
        BundleError: a bundle that is damaged.
    """
    merged = read_trained(start)
    for other in others:
        merged = merge(merged, read_trained(other), share=share, leave_tokens=leave_tokens)
    state = {"network": merged.weights, "keys": list(merged.keys), "config": asdict(merged.config)}
    write_checkpoint(out, state | {"val": merged.val, "sources": list(merged.sources)})
    return {"network": str(out), "detail_paths": merged.config.model.paths}


def merge(first: Trained, second: Trained, *, share: float | None = None, leave_tokens: bool = False) -> Trained:
    """A network that keeps the first's encoder, and has the detail paths of both.

    Args:
        first: with detail paths, or one whose tokens learned alone.
        second: with detail paths.
        share: of the first in the mean of the logits; as the number of its detail paths, which is 1 at least, without.
        leave_tokens: leave out what the second's tokens say; it is refused otherwise if they say anything.

    Raises:
        TrainingError: other statements, a share beyond 0 to 1, a second network without a detail path or with tokens
            that it leans on.
    """
    if share is not None and not 0 <= share <= 1:
        raise TrainingError(f"got a share of {share:g}, wanted 0 to 1")
    _require_fit(first, second, leave_tokens=leave_tokens)
    counts = first.config.model.paths, second.config.model.paths
    width = first.config.model.dim
    own = max(counts[0], 1) / (max(counts[0], 1) + counts[1]) if share is None else share
    weight, bias = ([one.weights[name] for one in (first, second)] for name in _LINEAR)
    weights = {name: value for name, value in first.weights.items() if not name.startswith(_DETAIL)}
    weights |= _named([*_paths(first), *_paths(second)])
    weights["head.linear.weight"] = torch.cat([weight[0] * own, weight[1][:, width:] * (1 - own)], dim=1)
    weights["head.linear.bias"] = bias[0] * own + bias[1] * (1 - own)
    model = replace(first.config.model, detail=True, detail_paths=sum(counts))
    sources = tuple(dict.fromkeys((*first.sources, *second.sources)))
    return Trained(weights, first.keys, replace(first.config, model=model), {}, sources)


def _require_fit(first: Trained, second: Trained, *, leave_tokens: bool) -> None:
    if first.keys != second.keys:
        raise TrainingError("the networks answer other statements, or in another order")
    if first.config.model.dim != second.config.model.dim:
        raise TrainingError("the networks have encoders of other widths")
    if not second.config.model.paths:
        raise TrainingError("a network without a detail path has nothing to bring; name it with --from")
    if not leave_tokens and second.weights["head.linear.weight"][:, : second.config.model.dim].any():
        raise TrainingError(
            "one encoder is kept, and a network after the first leans on its own; "
            "train it with finetune.detail_alone=1, or leave what its tokens say with --leave-tokens"
        )


def _paths(trained: Trained) -> list[dict[str, Tensor]]:
    """Weights of each of a network's detail paths."""
    prefixes = [f"{_DETAIL}paths.{number}." for number in range(trained.config.model.paths)]
    return [
        {name.removeprefix(prefix): value for name, value in trained.weights.items() if name.startswith(prefix)}
        for prefix in (prefixes if len(prefixes) != 1 else [_DETAIL])
    ]


def _named(paths: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Weights of a head with these detail paths; one alone has no number."""
    prefixes = [f"{_DETAIL}paths.{number}." for number in range(len(paths))] if len(paths) > 1 else [_DETAIL]
    return {
        f"{prefix}{name}": value for prefix, path in zip(prefixes, paths, strict=True) for name, value in path.items()
    }
