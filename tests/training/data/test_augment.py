"""Augmented windows keep what their labels rest on."""

import numpy as np
import torch

from training.config import AugmentConfig
from training.data.augment import augment, crop, dice_of_rows, silent_leads

ALL = AugmentConfig(lead_dropout=0.2, lead_subset=0.3, amplitude=0.1, wander_mv=0.2, noise_mv=0.05)


def dice(count: int, seed: int = 0) -> list[np.random.Generator]:
    return dice_of_rows(np.random.default_rng(seed), np.arange(count), ALL)


def test_nothing_asked_for_changes_nothing() -> None:
    windows = torch.randn(4, 8, 2500)
    assert torch.equal(augment(windows, AugmentConfig(), dice(4)), windows)
    assert crop(windows, 50, np.random.default_rng(0), dice(4))[0] is windows
    assert dice_of_rows(np.random.default_rng(0), np.arange(4), AugmentConfig()) == []
    assert augment(windows, AugmentConfig(), []) is windows


def test_a_crop_is_a_stretch_of_its_window_in_every_lead_alike() -> None:
    ramp = torch.arange(2500.0).expand(4, 8, 2500)
    cropped, start = crop(ramp, 25, np.random.default_rng(0), dice(4))
    assert cropped.shape == (4, 8, 1250)
    assert (cropped.diff(dim=2) == 1).all()
    assert (cropped[:, :1] == cropped).all()
    assert len({float(one) for one in cropped[:, 0, 0]}) > 1
    assert 0 <= start <= 25


def test_amplitude_never_turns_a_window_over() -> None:
    windows = torch.ones(64, 8, 10)
    changed = augment(windows, AugmentConfig(amplitude=0.3), dice(64))
    assert (changed > 0).all()
    assert changed.std() > 0.1


def test_one_lead_at_least_stays() -> None:
    config = AugmentConfig(lead_dropout=0.9, lead_subset=0.5)
    silent = np.stack([silent_leads(8, config, one) for one in dice(500)])
    assert silent.any(axis=1).all()
    assert (~silent).any(axis=1).all()


def test_the_same_dice_give_the_same_windows() -> None:
    windows = torch.randn(4, 8, 500)
    first, second = (augment(windows, ALL, dice(4, seed=3)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(augment(windows, ALL, dice(4, seed=4)), first)


def test_a_window_looks_the_same_whatever_part_of_its_batch_it_is_in() -> None:
    windows, rows = torch.randn(1, 8, 2500).expand(6, 8, 2500), np.array([4, 90, 7, 11, 2, 5])

    def changed(at: list[int]) -> tuple[torch.Tensor, int]:
        random = np.random.default_rng(3)
        own = dice_of_rows(random, rows[at], ALL)
        cropped, start = crop(windows[at], 25, random, own)
        return augment(cropped, ALL, own), start

    whole, start = changed([0, 1, 2, 3, 4, 5])
    assert len({float(one.sum()) for one in whole}) == len(rows), "each window has dice of its own"
    for part in ([0, 2, 4], [5, 3, 1]):
        assert changed(part)[1] == start
        assert torch.equal(changed(part)[0], whole[part])
