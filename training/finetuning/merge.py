"""Several fine-tuned networks as one whose logits are the mean of theirs: their detail paths stand side by side."""

from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from training.errors import TrainingError
from training.running.checkpoint import write_checkpoint
from training.running.state import Trained, read_trained

_LINEAR = ("head.linear.weight", "head.linear.bias")
_DETAIL = "head.detail."


def run(start: Path, others: list[Path], out: Path) -> dict[str, object]:
    """Write the merged network.

    Args:
        start: the network whose encoder stays; a checkpoint or a bundle.
        others: networks whose detail path learned alone (`finetune.detail_alone = 1`).
        out: checkpoint to write.

    Returns:
        Where it lies, and how many detail paths it has.

    Raises:
        TrainingError: something is no fine-tuned network, or the networks do not fit each other.
        BundleError: a bundle that is damaged.
    """
    merged = read_trained(start)
    for other in others:
        merged = merge(merged, read_trained(other))
    state = {"network": merged.weights, "keys": list(merged.keys), "config": asdict(merged.config)}
    write_checkpoint(out, state | {"val": merged.val, "sources": list(merged.sources)})
    return {"network": str(out), "detail_paths": merged.config.model.paths}


def merge(first: Trained, second: Trained) -> Trained:
    """A network that keeps the first's encoder; each detail path has the same say, and the tokens what is left them.

    Raises:
        TrainingError: other statements, a network without a detail path, or a second one that leans on its tokens.
    """
    _require_fit(first, second)
    counts = first.config.model.paths, second.config.model.paths
    total, width = sum(counts), first.config.model.dim
    shares = [count / total for count in counts]
    weight, bias = ([one.weights[name] for one in (first, second)] for name in _LINEAR)
    weights = {name: value for name, value in first.weights.items() if not name.startswith(_DETAIL)}
    weights |= _paths(first, 0) | _paths(second, counts[0])
    weights["head.linear.weight"] = torch.cat([weight[0] * shares[0], weight[1][:, width:] * shares[1]], dim=1)
    weights["head.linear.bias"] = bias[0] * shares[0] + bias[1] * shares[1]
    model = replace(first.config.model, detail_paths=total)
    sources = tuple(dict.fromkeys((*first.sources, *second.sources)))
    return Trained(weights, first.keys, replace(first.config, model=model), {}, sources)


def _require_fit(first: Trained, second: Trained) -> None:
    if first.keys != second.keys:
        raise TrainingError("the networks answer other statements, or in another order")
    if first.config.model.dim != second.config.model.dim:
        raise TrainingError("the networks have encoders of other widths")
    if not (first.config.model.paths and second.config.model.paths):
        raise TrainingError("a network without a detail path has nothing to bring")
    if second.weights["head.linear.weight"][:, : second.config.model.dim].any():
        raise TrainingError(
            "one encoder is kept, and a network after the first leans on its own; train it with finetune.detail_alone=1"
        )


def _paths(trained: Trained, start: int) -> dict[str, Tensor]:
    """Weights of a network's detail paths, numbered from `start`."""
    found = {name.removeprefix(_DETAIL): value for name, value in trained.weights.items() if name.startswith(_DETAIL)}
    if trained.config.model.paths == 1:
        return {f"{_DETAIL}paths.{start}.{name}": value for name, value in found.items()}
    numbered = ((name.split(".", 2), value) for name, value in found.items())  # paths.NUMBER.REST
    return {f"{_DETAIL}paths.{start + int(number)}.{rest}": value for (_, number, rest), value in numbered}
