"""Operations are counted forwards and backwards, and the peak is what a large product reaches."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from training.running.throughput import flops_of, peak_flops


def test_a_linear_layer_costs_a_product_forwards_and_two_backwards() -> None:
    layer, features = nn.Linear(30, 20), torch.randn(10, 30, requires_grad=True)
    assert flops_of(lambda: layer(features).sum()) == 3 * 2 * 10 * 30 * 20


def test_the_peak_is_of_this_machine() -> None:
    peak = peak_flops(torch.device("cpu"), "fp32")
    assert 1e8 < peak < 1e14


@pytest.mark.parametrize("trains", [True, False])
def test_what_does_not_learn_costs_less(trains: bool) -> None:
    first, last = nn.Linear(30, 30), nn.Linear(30, 30)
    first.requires_grad_(trains)
    cost = flops_of(lambda: last(first(torch.randn(10, 30))).sum())
    assert cost == (5 if trains else 3) * 2 * 10 * 30 * 30


def test_a_compiled_network_is_counted_as_it_was_before() -> None:
    def refuse(*_: object) -> Callable[..., Tensor]:
        raise AssertionError("compiled for the count")

    layer, features = nn.Linear(30, 20), torch.randn(10, 30, requires_grad=True)
    layer.compile(backend=refuse)
    assert flops_of(lambda: layer(features).sum()) == 3 * 2 * 10 * 30 * 20
