"""Rates rise, fall and end where they should."""

import pytest
import torch
from torch import nn

from training.running.optim import adamw, layerwise_scales, set_rate
from training.running.schedules import linear, warmup_cosine


def test_the_rate_rises_then_falls_to_its_floor() -> None:
    assert warmup_cosine(0.0, warmup=0.1) == 0.0
    assert warmup_cosine(0.05, warmup=0.1) == pytest.approx(0.5)
    assert warmup_cosine(0.1, warmup=0.1) == pytest.approx(1.0)
    assert warmup_cosine(1.0, warmup=0.1, floor=0.2) == pytest.approx(0.2)


def test_a_line_ends_at_its_end() -> None:
    assert linear(0.0, 0.996, 1.0) == 0.996
    assert linear(2.0, 0.996, 1.0) == 1.0


def test_vectors_do_not_decay_and_lower_blocks_learn_slower() -> None:
    network = nn.ModuleDict({"encoder": nn.ModuleDict({"blocks": nn.ModuleList(nn.Linear(2, 2) for _ in range(3))})})
    network["head"] = nn.Linear(2, 2)
    optimizer = adamw(network.named_parameters(), rate=1.0, decay=0.1, scales=layerwise_scales(3, 0.5))
    rates = {
        id(parameter): (group["base"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    by_name = {name: rates[id(parameter)] for name, parameter in network.named_parameters()}
    assert by_name["head.weight"] == (1.0, 0.1)
    assert by_name["head.bias"] == (1.0, 0.0)
    assert by_name["encoder.blocks.2.weight"] == (0.5, 0.1)
    assert by_name["encoder.blocks.0.weight"] == (0.125, 0.1)
    set_rate(optimizer, 0.5)
    assert {group["lr"] for group in optimizer.param_groups} == {0.5, 0.25, 0.125, 0.0625}


def test_rates_by_depth_are_those_of_beit() -> None:
    depth, decay = 12, 0.65
    scales = layerwise_scales(depth, decay)
    layers = {"embed.": 0, "norm.": depth + 1} | {f"blocks.{block}.": block + 1 for block in range(depth)}
    assert scales == {f"encoder.{name}": pytest.approx(decay ** (depth + 1 - at)) for name, at in layers.items()}


def test_tokens_decay_as_matrices_do_and_squares_are_remembered_as_long_as_is_asked() -> None:
    network = nn.ParameterDict({"mask_token": torch.zeros(1, 1, 3), "bias": torch.zeros(3)})
    optimizer = adamw(network.named_parameters(), rate=1.0, decay=0.1, beta2=0.999)
    assert {group["params"][0].ndim: group["weight_decay"] for group in optimizer.param_groups} == {3: 0.1, 1: 0.0}
    assert {group["betas"] for group in optimizer.param_groups} == {(0.9, 0.999)}


def test_a_frozen_parameter_is_no_ones_concern() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    groups = adamw(layer.named_parameters(), rate=1.0, decay=0.0).param_groups
    assert sum(len(group["params"]) for group in groups) == 1
    assert isinstance(groups[0]["params"][0], torch.Tensor)
