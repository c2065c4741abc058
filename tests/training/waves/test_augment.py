"""Cuts and changes of marked ECGs keep signal and truth together."""

import torch
from torch import Tensor

from model.nn.waves import REACH_MS
from training.waves.augment import Cut, blurred, change, cut, lifeless, noise
from training.waves.targets import UNKNOWN


def marked(batch: int = 8) -> Cut:
    """A ramp whose value is the time in seconds, a QRS from 4 to 4.1 s in every second."""
    ecg = (torch.arange(2500) / 250.0).expand(batch, 2, -1).clone()
    times_s = torch.arange(5000) / 500.0
    phase = times_s % 1.0
    label = torch.where(phase < 0.1, 2, 0).to(torch.uint8).expand(batch, 2, -1).clone()
    onset = torch.where(phase < 0.5, -phase, 1.0 - phase)
    offset = ((0.1 - phase + 0.5) % 1.0) - 0.5
    return Cut(ecg, label, torch.stack([onset, offset]).unsqueeze(1).expand(batch, 2, 2, -1).clone())


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def time_s(piece: Cut) -> Tensor:
    return piece.ecg[:, :, ::2]


def test_classes_move_with_the_signal() -> None:
    piece = cut(marked(), 1500, draw())
    known = piece.label != UNKNOWN
    clear = ((time_s(piece) % 1.0 - 0.1).abs() > 0.004) & ((time_s(piece) + 0.5) % 1.0 - 0.5).abs().gt(0.004)
    inside = (time_s(piece) % 1.0) < 0.1
    torch.testing.assert_close((piece.label == 2)[known & clear], inside[known & clear])


def test_distances_stretch_with_the_signal() -> None:
    piece = cut(marked(), 1500, draw(1))
    per_frame_s = (time_s(piece)[:, 0, 101] - time_s(piece)[:, 0, 100])[:, None, None]
    stretch = 0.008 / per_frame_s
    to_offset_s = (0.1 - time_s(piece) % 1.0 + 0.5) % 1.0 - 0.5
    expected = to_offset_s * stretch * 1000 / REACH_MS
    near = (expected.abs() < 1.0) & (piece.label != UNKNOWN)
    torch.testing.assert_close(piece.distance[:, 1][near], expected[near], atol=0.02, rtol=0.0)


def test_some_pieces_are_stretched_and_some_are_not() -> None:
    piece = cut(marked(32), 1500, draw())
    step_s = time_s(piece)[:, 0, 101] - time_s(piece)[:, 0, 100]
    plain = (step_s - 0.008).abs() < 1e-5
    assert 0 < int(plain.sum()) < 32


def test_heartless_leads_have_no_waves() -> None:
    whole = cut(marked(64), 1500, draw())
    changed = change(whole, draw(3))
    heartless = (changed.distance > 8.0).all(dim=1).all(dim=2)
    assert heartless.any()
    assert (changed.label[heartless] == 0).all()
    torch.testing.assert_close(changed.label[~heartless], whole.label[~heartless])


def test_the_same_seed_draws_the_same() -> None:
    torch.testing.assert_close(
        change(cut(marked(), 1500, draw(5)), draw(6)).ecg, change(cut(marked(), 1500, draw(5)), draw(6)).ecg
    )


def test_blurring_with_no_width_changes_nothing() -> None:
    ecg = torch.randn(3, 2, 200, generator=draw())
    torch.testing.assert_close(blurred(ecg, torch.zeros(3)), ecg, atol=1e-5, rtol=1e-5)


def test_noise_is_finite_in_every_lead() -> None:
    assert torch.isfinite(noise((4, 3, 1500), draw())).all()


def test_what_no_heart_makes_is_finite_and_of_many_kinds() -> None:
    drawn = lifeless((64, 3, 1500), draw())
    assert torch.isfinite(drawn).all()
    clipped = (drawn == drawn.amax(dim=2, keepdim=True)).sum(dim=2) > 50
    assert 0 < int(clipped.sum()) < 64 * 3
    same = torch.corrcoef(drawn[:, :2].reshape(128, -1))[torch.arange(0, 128, 2), torch.arange(1, 128, 2)].abs() > 0.95
    assert 0 < int(same.sum()) < 64
