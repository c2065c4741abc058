"""How busy a device is: what a step computes, against the most that the device was measured to compute."""

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from training.config import Precision

SIZE = {"cuda": 8192, "cpu": 768}
TRIES = 5


def peak_flops(device: torch.device, precision: Precision) -> float:
    """Floating-point operations per second of a large matrix product, the best of a few: the roof of this device."""
    size = SIZE.get(device.type, SIZE["cpu"])
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    factor = torch.ones(size, size, dtype=kind, device=device)
    return 2.0 * size**3 / min(_seconds(lambda: factor @ factor, device) for _ in range(TRIES))


def flops_of(loss: Callable[[], Tensor]) -> int:
    """Floating-point operations of a loss and its gradient; products and convolutions, as is the custom.

    A compiled network is left uncompiled for it: its kernels hide what they compute, and it would be compiled anew.
    """
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        torch.autograd.backward(loss())
    return int(counter.get_total_flops())


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
