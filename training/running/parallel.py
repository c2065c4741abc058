"""Data parallelism under torchrun: who this process is, and what processes say to each other."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the group that torchrun started; alone where it did not.

    Gradients go from card to card; what processes tell each other besides goes through the CPU and waits for no card.
    """
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process; 0 writes and speaks."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """The sum over processes of every gradient, in place."""
    if world_size() > 1:
        for parameter in parameters:
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)


def sum_over_processes(value: float) -> float:
    """The sum over processes of a number."""
    if world_size() == 1:
        return value
    total = torch.tensor(value, dtype=torch.float32)
    dist.all_reduce(total)
    return float(total)


def from_first(value: float) -> float:
    """What the first process says, so that all go by one clock."""
    if world_size() == 1:
        return value
    said = torch.tensor(value, dtype=torch.float64)
    dist.broadcast(said, 0)
    return float(said)
