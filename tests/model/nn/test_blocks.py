"""Stochastic depth leaves whole branches out, keeps their mean, and is gone when the network answers."""

import torch

from model.nn.blocks import DropPath


def test_a_window_keeps_its_branch_whole_or_goes_without() -> None:
    torch.manual_seed(0)
    branch = torch.ones(4000, 3, 2)
    dropped = DropPath(0.25).train()(branch)
    assert torch.equal(dropped, dropped[:, :1, :1].expand_as(branch))
    assert torch.allclose(dropped.unique(), torch.tensor([0.0, 1 / 0.75]))
    assert abs(dropped.mean().item() - 1.0) < 0.03


def test_nothing_is_dropped_outside_training_or_at_a_rate_of_zero() -> None:
    branch = torch.randn(4, 3, 2)
    assert torch.equal(DropPath(0.9).eval()(branch), branch)
    assert torch.equal(DropPath(0.0).train()(branch), branch)
