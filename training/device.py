"""Which device trains."""

import torch

from training.errors import TrainingError


def resolve_device(name: str) -> torch.device:
    """`auto` is a card where there is one, else the CPU; others are taken as torch names them.

    Raises:
        TrainingError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise TrainingError(f"no device {name} here: {str(error).splitlines()[0]}") from None
    return device
