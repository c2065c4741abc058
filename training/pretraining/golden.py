"""Golden numbers of the published code, reproduced by ours."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.errors import EcgError
from model.nn.published import as_tensors, from_published, part, published_predictor_sizes, published_sizes
from training.errors import TrainingError
from training.pretraining.jepa import Jepa

TOLERANCE = 1e-4


def run(file: Path) -> dict[str, float]:
    """Compare both forms of the network with the arrays of a golden file.

    Args:
        file: .npz with `state/*` (published key names), `config`, `x`, `mask` and the expected arrays.

    Returns:
        Largest absolute error by array, over the masked and the factorised form.

    Raises:
        TrainingError: not a golden file, or an error above `TOLERANCE`.
    """
    golden = _read(file)
    errors: dict[str, float] = {}
    for factorised in (False, True):
        for name, value in compute(golden, factorised=factorised).items():
            error = float(np.abs(value.numpy() - golden[name]).max())
            errors[name] = max(error, errors.get(name, 0.0))
    if wrong := {name: error for name, error in errors.items() if not error <= TOLERANCE}:
        listed = ", ".join(f"{name} {error:.2e}" for name, error in wrong.items())
        raise TrainingError(f"further off than {TOLERANCE:.0e}: {listed}")
    return errors


@torch.no_grad()
def compute(golden: dict[str, np.ndarray], *, factorised: bool) -> dict[str, Tensor]:
    """What our network makes of a golden file's state and input, under the names of the expected arrays."""
    jepa = build_jepa(golden, factorised=factorised)
    windows, hidden = torch.from_numpy(golden["x"]), torch.from_numpy(golden["mask"])
    visible_at, hidden_at = (~hidden).nonzero()[:, 0], hidden.nonzero()[:, 0]
    tokens = jepa.encoder(windows)
    predicted, target = jepa(windows, visible_at, hidden_at)
    return {
        "tokens": tokens,
        "representation": tokens.mean(dim=1),
        "context_tokens": jepa.encoder(windows, visible_at),
        "predicted_masked": predicted,
        "target_masked": target,
        "loss": F.smooth_l1_loss(predicted, target),
    }


def build_jepa(golden: dict[str, np.ndarray], *, factorised: bool) -> Jepa:
    """The network of a golden file, its sizes read off the file."""
    state = from_published(
        as_tensors({name.removeprefix("state/"): value for name, value in golden.items() if name.startswith("state/")})
    )
    heads, predictor_heads = int(golden["config"][2]), int(golden["config"][5])
    sizes = replace(
        published_sizes(state, heads),
        leads=golden["x"].shape[1],
        patches=len(golden["mask"]),
        factorised=factorised,
    )
    jepa = Jepa(sizes, published_predictor_sizes(state, predictor_heads)).eval()
    for name in ("encoder", "target_encoder", "predictor"):
        getattr(jepa, name).load_state_dict(part(state, name))
    return jepa


def _read(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            golden = dict(archive)
    except (OSError, ValueError, EcgError) as error:
        raise TrainingError(f"{file} cannot be read as .npz: {type(error).__name__}") from None
    if missing := {"x", "mask", "config", "tokens", "loss"} - golden.keys():
        raise TrainingError(f"{file} is no golden file: it lacks {', '.join(sorted(missing))}")
    return golden
