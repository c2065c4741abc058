"""Masks hide what the paper hides, alike for the same seed, and never everything."""

import numpy as np
import pytest

from training.config import Masking
from training.pretraining.masking import draw_mask


def test_random_masks_hide_60_to_70_percent() -> None:
    shares = [draw_mask("random", 50, np.random.default_rng(seed)).mean() for seed in range(200)]
    assert min(shares) >= 0.6
    assert max(shares) <= 0.7


def test_blocks_are_contiguous_and_overlap_at_times() -> None:
    for seed in range(200):
        hidden = draw_mask("multi-block", 50, np.random.default_rng(seed))
        edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden, [0]])))
        assert len(edges) <= 2 * 4
        assert (edges[1::2] - edges[::2]).min() >= 9
        assert 9 <= hidden.sum() <= 44


@pytest.mark.parametrize("masking", ["random", "multi-block"])
@pytest.mark.parametrize("patches", [2, 5, 25])
def test_something_is_hidden_and_something_visible(masking: Masking, patches: int) -> None:
    for seed in range(100):
        hidden = draw_mask(masking, patches, np.random.default_rng(seed))
        assert 0 < hidden.sum() < patches


def test_the_same_seed_draws_the_same_mask() -> None:
    first, second = (draw_mask("multi-block", 50, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first, second)
