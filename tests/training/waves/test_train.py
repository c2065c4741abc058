"""The wave head learns from marks and from rhythms, resumes, and is judged on records it never saw."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.nn.config import EncoderConfig
from model.nn.encoder import Encoder
from training.config import WavesConfig
from training.errors import TrainingError
from training.running.checkpoint import write_checkpoint
from training.sources.ludb import marks_of
from training.waves.augment import Cut
from training.waves.rhythms import Rhythms, draw_rhythms, taught
from training.waves.targets import UNKNOWN, WaveSet, rasterise
from training.waves.task import Material, WaveTask, wave_loss
from training.waves.train import FOLDS, HEAD, _made_of, folds, read_head, train_head

QUICK = WavesConfig(epochs=1, batch_size=2, rate=1e-3)


def wave_set(records: int = 4) -> WaveSet:
    """Spikes of 100 ms every second, all marked."""
    times_s = np.arange(2500) / 250
    spike = np.maximum(0, 1 - np.abs((times_s + 0.5) % 1 - 0.5) / 0.05).astype(np.float32)
    marks_s = np.concatenate([beat + np.array([-0.05, 0.0, 0.05]) for beat in range(1, 9)])
    label, distance = rasterise(marks_of(list("(N)" * 8), marks_s))
    return WaveSet(
        np.broadcast_to(spike, (records, 12, 2500)).copy(),
        np.broadcast_to(label, (records, 12, 5000)).copy(),
        np.broadcast_to(distance, (records, 12, 2, 5000)).copy(),
    )


def rhythms() -> Rhythms:
    windows = np.random.default_rng(0).normal(0, 0.1, (5, 8, 2500)).astype(np.float16)
    return Rhythms(windows, (np.array([2, 3]), np.array([4])), np.array([0, 1]))


def test_the_loss_falls() -> None:
    task = WaveTask(Material(wave_set()), QUICK)
    losses = []
    for step in range(25):
        task.optimizer.zero_grad()
        loss = task.loss(np.array([0, 1]), np.random.default_rng(step), 0.0)
        torch.autograd.backward(loss)
        task.optimizer.step()
        task.after_step(0.0)
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_a_head_is_written_and_read_back(tmp_path: Path) -> None:
    head = train_head(Material(wave_set(), rhythms()), np.arange(4), QUICK, tmp_path)
    again = read_head(tmp_path / HEAD)
    assert again.config == head.config
    for name, value in head.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value)


def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    material = Material(wave_set())
    whole = train_head(material, np.arange(4), QUICK, tmp_path / "whole")
    again = train_head(material, np.arange(4), QUICK, tmp_path / "whole")
    torch.testing.assert_close(again.state_dict(), whole.state_dict())


def test_the_same_seed_gives_the_same_head(tmp_path: Path) -> None:
    heads = [train_head(Material(wave_set()), np.arange(4), QUICK, tmp_path / name) for name in ("a", "b")]
    torch.testing.assert_close(heads[0].state_dict(), heads[1].state_dict())


def test_a_head_with_tokens_learns_from_an_encoder_that_stays_as_it_is(tmp_path: Path) -> None:
    encoder = Encoder(EncoderConfig(dim=16, depth=1, heads=2))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    head = train_head(Material(wave_set(), rhythms(), encoder), np.arange(4), replace(QUICK, epochs=2), tmp_path)
    assert head.config.token_dim == 16
    torch.testing.assert_close(encoder.state_dict(), before)


def test_what_is_unknown_teaches_nothing() -> None:
    logits = torch.randn(1, 4, 2, 6, requires_grad=True)
    distance = torch.randn(1, 2, 2, 6, requires_grad=True)
    label = torch.full((1, 2, 6), UNKNOWN)
    label[0, 0, 0] = 1
    torch.autograd.backward(wave_loss(logits, distance, Cut(torch.zeros(1), label, torch.zeros(1, 2, 2, 6))))
    assert logits.grad is not None
    assert distance.grad is not None
    assert logits.grad[0, :, 0, 0].abs().sum() > 0
    assert logits.grad[0, :, 1].abs().sum() == 0
    assert distance.grad[0, :, 1].abs().sum() == 0


def test_two_parts_of_a_batch_are_changed_each_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def unchanged(piece: Cut, draw: torch.Generator) -> Cut:
        seeds.append(draw.initial_seed())
        return piece

    monkeypatch.setattr("training.waves.task.change", unchanged)
    task = WaveTask(Material(wave_set()), QUICK)
    for rows in ([0, 1], [2, 3], [0, 1]):
        task.loss(np.array(rows), np.random.default_rng(5), 0.0)
    assert seeds[0] == seeds[2] != seeds[1]


def test_a_batch_of_which_nothing_is_known_has_a_loss_of_zero() -> None:
    label = torch.full((1, 2, 6), UNKNOWN)
    piece = Cut(torch.zeros(1), label, torch.zeros(1, 2, 2, 6))
    assert wave_loss(torch.randn(1, 4, 2, 6), torch.randn(1, 2, 2, 6), piece) == 0.0


def test_every_record_is_kept_back_once() -> None:
    parts = list(folds(17))
    assert len(parts) == FOLDS
    assert sorted(np.concatenate([kept for _, kept in parts]).tolist()) == list(range(17))
    assert all(not set(rows.tolist()) & set(kept.tolist()) for rows, kept in parts)


def test_rhythms_come_in_turns_and_unmarked() -> None:
    whole, without_p = draw_rhythms(rhythms(), 6, torch.Generator().manual_seed(0))
    assert whole.ecg.shape == (6, 12, 2500)
    assert (whole.label == UNKNOWN).all()
    assert without_p.tolist() == [True, False] * 3


def test_fibrillation_is_taught_to_have_no_p_and_only_what_is_sure_counts() -> None:
    logits = torch.zeros(2, 4, 1, 40)
    logits[:, 1, :, 10:20] = 9.0  # surely P
    logits[:, 2, :, 30:35] = 9.0  # surely QRS
    logits[:, 0, :, 36:] = 0.5
    piece = Cut(torch.zeros(2, 1, 80), torch.full((2, 1, 40), UNKNOWN), torch.zeros(2, 2, 1, 40))
    marked = taught(piece, logits, torch.zeros(2, 2, 1, 40), torch.tensor([True, False]))
    assert marked.label[0, 0, 12] == 0
    assert marked.label[1, 0, 12] == 1
    assert (marked.label[:, 0, 36:] == UNKNOWN).all(), "nothing is only the likeliest of four"
    assert (marked.label[:, 0, 32] == 2).all()
    assert (marked.label[:, 0, 0] == UNKNOWN).all()
    assert (marked.distance[0, :, 0, 8].abs() > 1).all()
    assert (marked.distance[1, :, 0, 8].abs() <= 1).all()


def test_where_sinus_rhythm_shows_no_p_before_a_qrs_nothing_is_taught() -> None:
    logits = torch.zeros(1, 4, 1, 160)
    logits[:, 0] = 9.0
    logits[:, 1, :, 30:40] = logits[:, 2, :, 50:60] = logits[:, 2, :, 120:130] = 20.0
    piece = Cut(torch.zeros(1, 1, 320), torch.full((1, 1, 160), UNKNOWN), torch.zeros(1, 2, 1, 160))
    in_sinus, in_fibrillation = (
        taught(piece, logits, torch.zeros(1, 2, 1, 160), torch.tensor([without])).label[0, 0]
        for without in (False, True)
    )
    assert (in_sinus[:50] != UNKNOWN).all()
    assert (in_sinus[90:120] == UNKNOWN).all()
    assert (in_sinus[120:130] == 2).all()
    assert (in_fibrillation != UNKNOWN).all()


def test_what_was_made_of_a_record_is_learnt_from_with_it_and_never_without() -> None:
    material = Material(wave_set(5), source=np.array([0, 1, 2, 1, 2]))
    assert _made_of(material, np.array([0, 1])).tolist() == [3]
    assert _made_of(Material(wave_set()), np.array([0, 1])).tolist() == []


def test_something_else_is_no_head(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / HEAD, {"config": {"width": 3}, "state": {}})
    with pytest.raises(TrainingError, match="not a wave head"):
        read_head(tmp_path / HEAD)
