"""A label that is unknown teaches nothing, and a phase trains what it says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training.config import Config, ModelConfig
from training.dataset import PreparedSet
from training.errors import TrainingError
from training.finetune import FinetuneTask, masked_bce, run
from training.state import Trained

KEYS = ("NORM", "MI", "AF")


def _data() -> PreparedSet:
    random = np.random.default_rng(0)
    return PreparedSet(
        folder=Path(),
        windows=random.standard_normal((12, 8, 2500)).astype(np.float16),
        window_record=np.repeat(np.arange(6, dtype=np.int32), 2),
        labels=np.array([[1, 0, -1], [0, 1, 0], [1, 1, 1], [0, 0, -1], [1, 0, 1], [0, 1, 0]], dtype=np.int8),
        keys=KEYS,
        records=tuple("abcdef"),
        hashes=tuple("abcdef"),
        splits=np.array(["train"] * 3 + ["val"] * 3),
        patients=np.array([""] * 6),
        ages=np.full(6, np.nan, dtype=np.float32),
        sexes=np.array([""] * 6),
        meta={},
    )


def _task(tmp_path: Path, **settings: float) -> FinetuneTask:
    config = Config(model=ModelConfig(dim=16, depth=1, heads=2))
    config = replace(config, finetune=replace(config.finetune, **settings))  # type: ignore[arg-type]
    return FinetuneTask(config, _data(), KEYS, tmp_path, torch.device("cpu"))


def test_unknown_labels_have_no_say() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    loss = masked_bce(logits, torch.tensor([[1, -1, 0], [-1, -1, 1]]))
    assert loss.item() == pytest.approx(np.log(2))
    torch.autograd.backward(loss)
    assert logits.grad is not None
    assert torch.equal(logits.grad != 0, torch.tensor([[True, False, True], [False, False, True]]))


def test_nothing_known_is_no_loss_and_no_nan() -> None:
    assert masked_bce(torch.randn(2, 3), torch.full((2, 3), -1)).item() == 0.0


@pytest.mark.parametrize(("progress", "trained"), [(0.1, "detail"), (0.4, "head"), (0.9, "encoder")])
def test_each_phase_trains_its_part(tmp_path: Path, progress: float, trained: str) -> None:
    task = _task(tmp_path, detail_alone=0.3, frozen=0.6, crop_patches=25)
    torch.nn.init.normal_(task.network.head.linear.weight)
    torch.autograd.backward(task.loss(np.arange(6), np.random.default_rng(0), progress))
    network = task.network
    assert network.head.detail is not None
    learned = {
        "detail": network.head.detail.stem.weight.grad is not None,
        "head": network.head.pool.score.weight.grad is not None,
        "encoder": network.encoder.embed.weight.grad is not None,
    }
    order = ("detail", "head", "encoder")
    assert learned == {name: order.index(name) <= order.index(trained) for name in order}


def test_an_encoder_of_other_sizes_is_refused_in_one_line(tmp_path: Path) -> None:
    task = _task(tmp_path)
    state = {name: value[..., :-1] for name, value in task.network.encoder.state_dict().items()}
    with pytest.raises(TrainingError, match="other sizes"):
        task.start_from(state)


def test_a_whole_network_is_continued_statement_by_statement(tmp_path: Path) -> None:
    before, after = _task(tmp_path), _task(tmp_path)
    torch.nn.init.normal_(before.network.head.linear.weight)
    weights = before.network.state_dict()
    after.continue_from(Trained(weights, ("AF", "SB", "NORM"), before.config, {}))
    windows = torch.randn(2, 8, 2500)
    old, new = (task.averaged.module.eval()(windows)[0] for task in (before, after))
    assert torch.allclose(new[:, 0], before.network.eval()(windows)[0][:, 2])
    assert torch.allclose(new[:, 2], before.network.eval()(windows)[0][:, 0])
    assert not new[:, 1].any(), "MI is new to it"
    assert not torch.allclose(old, new)


def test_a_network_of_other_sizes_is_refused_in_one_line(tmp_path: Path) -> None:
    task = _task(tmp_path)
    weights = {
        name: value[..., :-1] if "encoder" in name else value for name, value in task.network.state_dict().items()
    }
    with pytest.raises(TrainingError, match="other sizes"):
        task.continue_from(Trained(weights, KEYS, task.config, {}))


def test_whole_asks_what_to_continue(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="--from"):
        run(Config(), tmp_path, tmp_path, whole=True)


def test_a_record_of_two_windows_is_scored_once(tmp_path: Path) -> None:
    figures = _task(tmp_path).score("val")
    assert set(figures) <= {"super_auroc", "statement_auroc"}
    assert all(np.isfinite(one) for one in figures.values())
    assert 0.0 <= figures["super_auroc"] <= 1.0


def test_a_resumed_task_has_the_same_averages(tmp_path: Path) -> None:
    first, second = _task(tmp_path), _task(tmp_path)
    torch.autograd.backward(first.loss(np.arange(6), np.random.default_rng(0), 1.0))
    first.optimizer.step()
    first.after_step(0.5)
    second.load_state(first.state())
    for one, other in zip(first.averaged.state_dict().values(), second.averaged.state_dict().values(), strict=True):
        assert torch.equal(one, other)
