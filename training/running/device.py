"""Which device trains."""

import os

import torch

from training.errors import TrainingError


def resolve_device(name: str) -> torch.device:
    """`auto` is a card where there is one, else the CPU; others are taken as torch names them.

    Under torchrun `cuda` is the card of this process, so that each has its own.

    Raises:
        TrainingError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise TrainingError(f"no device {name} here: {str(error).splitlines()[0]}") from None
    return device
