"""Augmented windows keep what their labels rest on."""

import numpy as np
import torch

from training.augment import augment, crop, silent_leads
from training.config import AugmentConfig


def test_nothing_asked_for_changes_nothing() -> None:
    windows = torch.randn(4, 8, 2500)
    assert torch.equal(augment(windows, AugmentConfig(), np.random.default_rng(0)), windows)
    assert crop(windows, 50, np.random.default_rng(0))[0] is windows


def test_a_crop_is_a_stretch_of_its_window_in_every_lead_alike() -> None:
    ramp = torch.arange(2500.0).expand(4, 8, 2500)
    cropped, start = crop(ramp, 25, np.random.default_rng(0))
    assert cropped.shape == (4, 8, 1250)
    assert (cropped.diff(dim=2) == 1).all()
    assert (cropped[:, :1] == cropped).all()
    assert len({float(one) for one in cropped[:, 0, 0]}) > 1
    assert 0 <= start <= 25


def test_amplitude_never_turns_a_window_over() -> None:
    windows = torch.ones(64, 8, 10)
    changed = augment(windows, AugmentConfig(amplitude=0.3), np.random.default_rng(0))
    assert (changed > 0).all()
    assert changed.std() > 0.1


def test_one_lead_at_least_stays() -> None:
    silent = silent_leads(500, 8, AugmentConfig(lead_dropout=0.9, lead_subset=0.5), np.random.default_rng(0))
    assert silent.any(axis=1).all()
    assert (~silent).any(axis=1).all()


def test_the_same_generator_gives_the_same_windows() -> None:
    config = AugmentConfig(lead_dropout=0.2, amplitude=0.1, wander_mv=0.2, noise_mv=0.05)
    windows = torch.randn(4, 8, 500)
    first, second = (augment(windows, config, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first, second)
