"""Both forms of Cross-Pattern Attention agree, in value and gradient, and see what they may and nothing else."""

import pytest
import torch

from model.nn.attention import CropaAttention, cropa_mask
from model.nn.config import EncoderConfig
from model.nn.encoder import Encoder


def _encoders() -> tuple[Encoder, Encoder]:
    torch.manual_seed(0)
    masked = Encoder(EncoderConfig(dim=32, depth=2, heads=2, factorised=False))
    factorised = Encoder(EncoderConfig(dim=32, depth=2, heads=2, factorised=True))
    factorised.load_state_dict(masked.state_dict())
    return masked, factorised


def test_the_mask_opens_57_keys_in_every_row() -> None:
    mask = cropa_mask(8, 50)
    assert mask.shape == (400, 400)
    assert (mask.sum(dim=1) == 57).all()
    assert torch.equal(mask, mask.T)


@pytest.mark.parametrize("visible", [None, torch.tensor([0, 3, 4, 17, 49])])
def test_both_forms_agree_in_value_and_gradient(visible: torch.Tensor | None) -> None:
    masked, factorised = _encoders()
    windows = torch.randn(2, 8, 2500)
    values = [encoder(windows, visible) for encoder in (masked, factorised)]
    assert (values[0] - values[1]).abs().max() < 1e-5
    for value in values:
        value.square().mean().backward()
    for name, parameter in masked.named_parameters():
        twin = factorised.get_parameter(name).grad
        assert parameter.grad is not None
        assert twin is not None
        assert (parameter.grad - twin).abs().max() < 1e-5, name


def test_a_token_does_not_see_another_lead_at_another_moment() -> None:
    attention = CropaAttention(16, 2, leads=3, factorised=True)
    tokens = torch.randn(1, 3 * 4, 16)
    before = attention(tokens, None)
    tokens[0, 1 * 4 + 2] += 1.0  # lead 1, patch 2
    changed = (attention(tokens, None) - before).abs().amax(dim=2)[0].reshape(3, 4) > 0
    assert changed[1].all()
    assert changed[:, 2].all()
    assert changed.sum() == 3 + 4 - 1


def test_a_crop_holds_in_both_forms() -> None:
    masked, factorised = _encoders()
    windows = torch.randn(2, 8, 1250)
    assert (masked(windows, None, 10) - factorised(windows, None, 10)).abs().max() < 1e-5
    assert (masked(windows, None, 10) - masked(windows, None, 0)).abs().max() > 1e-3


def test_without_cropa_every_token_sees_every_other() -> None:
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(dim=16, depth=1, heads=2, cropa=False))
    windows = torch.randn(1, 8, 2500)
    before = encoder(windows)
    windows[0, 7, -50:] += 1.0
    assert ((encoder(windows) - before).abs().amax(dim=2) > 0).all()


def test_one_ecg_does_not_depend_on_its_batch() -> None:
    masked, _ = _encoders()
    windows = torch.randn(3, 8, 2500)
    assert (masked(windows)[1] - masked(windows[1:2])[0]).abs().max() < 1e-5
