"""The target follows and never learns; representations do not collapse at the start."""

import math

import pytest
import torch

from model.nn.config import EncoderConfig, PredictorConfig
from training.pretraining.jepa import Jepa, jepa_loss
from training.pretraining.start import start_as_published


def _jepa() -> Jepa:
    torch.manual_seed(0)
    return Jepa(EncoderConfig(dim=32, depth=2, heads=2), PredictorConfig(dim=16, depth=1, heads=2))


def test_gradients_reach_encoder_and_predictor_but_not_the_target() -> None:
    jepa = _jepa()
    predicted, target = jepa(torch.randn(2, 8, 2500), torch.arange(20), torch.arange(20, 50))
    assert predicted.shape == target.shape == (2, 8, 30, 32)
    torch.autograd.backward(jepa_loss(predicted, target))
    assert all(one.grad is not None for one in jepa.encoder.parameters())
    assert all(one.grad is not None for one in jepa.predictor.parameters())
    assert all(one.grad is None for one in jepa.target_encoder.parameters())


def test_the_target_follows_by_its_momentum() -> None:
    jepa = _jepa()
    with torch.no_grad():
        for one in jepa.encoder.parameters():
            one.add_(1.0)
    before = [one.clone() for one in jepa.target_encoder.parameters()]
    jepa.follow(0.9)
    for old, new in zip(before, jepa.target_encoder.parameters(), strict=True):
        assert torch.allclose(new - old, torch.full_like(old, 0.1), atol=1e-5)


def test_stochastic_depth_is_of_all_three_and_changes_no_weight() -> None:
    jepa = Jepa(EncoderConfig(dim=32, depth=2, heads=2), PredictorConfig(dim=16, depth=2, heads=2), drop_path=0.5)
    windows, visible, hidden = torch.randn(8, 8, 2500), torch.arange(20), torch.arange(20, 50)
    (predicted, target), (again, same) = (jepa.train()(windows, visible, hidden) for _ in range(2))
    assert not torch.equal(target, same)
    assert not torch.equal(predicted, again)
    context = jepa.eval().encoder(windows, visible)
    assert not torch.equal(*(jepa.predictor.train()(context, visible, hidden) for _ in range(2)))
    (predicted, target), (again, same) = (jepa.eval()(windows, visible, hidden) for _ in range(2))
    assert torch.equal(target, same)
    assert torch.equal(predicted, again)
    assert jepa.encoder.state_dict().keys() == Jepa(jepa.encoder.config, PredictorConfig()).encoder.state_dict().keys()


def test_what_is_hidden_does_not_reach_the_context() -> None:
    jepa = _jepa()
    windows = torch.randn(1, 8, 2500)
    visible = torch.arange(0, 50, 2)
    before = jepa.encoder(windows, visible)
    windows.reshape(1, 8, 50, 50)[:, :, 1::2] += 1.0
    assert torch.equal(jepa.encoder(windows, visible), before)


def test_targets_of_a_new_network_tell_windows_apart() -> None:
    jepa = _jepa()
    _, target = jepa(0.24 * torch.randn(16, 8, 2500), torch.arange(20), torch.arange(20, 50))
    assert target.std(dim=0).mean() > 0.3  # 1 would be no more than the layer norm allows


def test_the_published_start_is_as_small_and_shrinks_with_depth() -> None:
    jepa = Jepa(EncoderConfig(dim=64, depth=3, heads=2), PredictorConfig(dim=32, depth=2, heads=2))
    start_as_published(jepa.requires_grad_(False))
    assert float(jepa.encoder.embed.weight.std()) == pytest.approx(0.02, rel=0.1)
    for blocks in (jepa.encoder.blocks, jepa.predictor.blocks):
        for number, block in enumerate(blocks, start=1):
            last, first = (block.get_submodule(name).get_parameter("weight") for name in ("mlp.fc2", "mlp.fc1"))
            assert float(last.std()) == pytest.approx(0.02 / math.sqrt(2 * number), rel=0.1)
            assert float(first.std()) == pytest.approx(0.02, rel=0.1)
    for name, weight in jepa.encoder.state_dict().items():
        assert torch.equal(jepa.target_encoder.state_dict()[name], weight)
