"""A label that is unknown teaches nothing, and a phase trains what it says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.running.test_loop import losses, run_pair
from training.config import Config, ModelConfig
from training.data.dataset import PreparedSet
from training.errors import TrainingError
from training.finetuning.finetune import FinetuneTask, run
from training.finetuning.objectives import masked_bce, one_class_cross_entropy
from training.running.loop import train
from training.running.state import Trained

KEYS = ("NORM", "MI", "AF")


def small_data() -> PreparedSet:
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


def _task(tmp_path: Path, *, detail: bool = True, **settings: object) -> FinetuneTask:
    config = Config(model=ModelConfig(dim=16, depth=1, heads=2, detail=detail))
    config = replace(config, finetune=replace(config.finetune, **settings))  # type: ignore[arg-type]
    return FinetuneTask(config, small_data(), KEYS, tmp_path, torch.device("cpu"))


def test_a_checkpoint_goes_on_with_the_data_that_it_is_of(tmp_path: Path) -> None:
    task = _task(tmp_path)
    state = task.state()
    _task(tmp_path).load_state(state)
    _task(tmp_path).load_state({name: one for name, one in state.items() if name != "data"})  # of before it was told
    relabelled = replace(task.data, labels=1 - task.data.labels.clip(0))
    with pytest.raises(ValueError, match="other data"):
        FinetuneTask(task.config, relabelled, KEYS, tmp_path, torch.device("cpu")).load_state(state)


PAIR = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.training.finetuning.test_finetune import tuned
tuned(Path(sys.argv[1]))
"""


def tuned(out: Path, **settings: object) -> list[float]:
    """Losses by epoch of augmented windows with more and fewer known labels; without statistics over a batch."""
    changes = {"lead_dropout": 0.3, "amplitude": 0.3, "wander_mv": 0.3, "noise_mv": 0.3, "crop_patches": 25}
    schedule = {
        "epochs": 4,
        "batch_size": 6,
        "detail_alone": 0.0,
        "frozen": 0.0,
        "whole_windows": 0.0,
        "dropout": 0.0,
        "rate": 0.02,
    }
    task = _task(out, detail=False, **changes, **schedule, **settings)
    train(task, np.arange(12), task.stage, out, weights=task.weights())
    return losses(out)


@pytest.mark.parametrize("protocol", ["multi-label", "multi-class"])
def test_a_batch_in_parts_teaches_what_the_whole_does(tmp_path: Path, protocol: str) -> None:
    whole, parts = (tuned(tmp_path / str(n), protocol=protocol, accumulation=n) for n in (1, 4))
    assert parts == pytest.approx(whole, rel=1e-4)


def test_two_processes_fine_tune_as_one(tmp_path: Path) -> None:
    assert run_pair(tmp_path / "pair", script=PAIR) == [0, 0]
    assert losses(tmp_path / "pair") == pytest.approx(tuned(tmp_path / "one"), rel=1e-4)


def test_unknown_labels_have_no_say() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    loss = masked_bce(logits, torch.tensor([[1, -1, 0], [-1, -1, 1]]))
    assert loss.item() == pytest.approx(np.log(2))
    torch.autograd.backward(loss)
    assert logits.grad is not None
    assert torch.equal(logits.grad != 0, torch.tensor([[True, False, True], [False, False, True]]))


def test_nothing_known_is_no_loss_and_no_nan() -> None:
    assert masked_bce(torch.randn(2, 3), torch.full((2, 3), -1)).item() == 0.0


def test_one_class_out_of_all_is_learned_from_records_with_exactly_one() -> None:
    logits = torch.zeros(3, 4, requires_grad=True)
    loss = one_class_cross_entropy(logits, torch.tensor([[0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]))
    assert loss.item() == pytest.approx(np.log(4))
    torch.autograd.backward(loss)
    assert logits.grad is not None
    assert logits.grad.any(dim=1).tolist() == [True, False, False]


def test_multi_class_rows_have_exactly_one_superclass(tmp_path: Path) -> None:
    task = _task(tmp_path, protocol="multi-class")
    task.data.labels[:, 2] = 0
    assert task.data.window_record[task.rows()].tolist() == [0, 0, 1, 1]
    assert 0.0 <= task.score("val")["super_auroc"] <= 1.0


def test_a_smaller_share_of_patients_is_part_of_a_larger_one(tmp_path: Path) -> None:
    data = replace(small_data(), splits=np.array(["train"] * 6), patients=np.array(["a", "a", "b", "b", "", ""]))
    for seed in range(5):
        half, most = (set(data.some_rows("train", share, seed).tolist()) for share in (0.5, 0.75))
        assert half < most < set(range(6))
        assert all(({0, 1} & part) in ({0, 1}, set()) for part in (half, most)), "a patient is taken whole"
    assert len({tuple(data.some_rows("train", 0.5, seed)) for seed in range(9)}) > 1
    task = _task(tmp_path, share=0.34)
    assert len(task.rows()) == 2


@pytest.mark.parametrize(("progress", "trained"), [(0.1, "detail"), (0.4, "head"), (0.9, "encoder")])
def test_each_phase_trains_its_part(tmp_path: Path, progress: float, trained: str) -> None:
    task = _task(tmp_path, detail_alone=0.3, frozen=0.6, crop_patches=25)
    torch.nn.init.normal_(task.network.head.linear.weight)
    torch.autograd.backward(task.loss(np.arange(6), np.random.default_rng(0), progress))
    first = {"detail": "head.detail.stem", "head": "head.pool.score", "encoder": "encoder.embed"}
    learned = {part: task.network.get_parameter(f"{name}.weight").grad is not None for part, name in first.items()}
    order = ("detail", "head", "encoder")
    assert learned == {name: order.index(name) <= order.index(trained) for name in order}


def test_a_detail_path_that_learns_alone_is_scored_without_the_encoder(tmp_path: Path) -> None:
    task = _task(tmp_path, detail_alone=0.5)
    torch.nn.init.normal_(task.averaged.module.get_parameter("head.linear.weight"))

    def refuse(*_: object) -> None:
        raise AssertionError("the encoder was asked")

    task.averaged.module.get_submodule("encoder").register_forward_pre_hook(refuse)
    assert 0.0 <= task.score("val")["super_auroc"] <= 1.0
    task.after_step(0.7)
    with pytest.raises(AssertionError, match="the encoder was asked"):
        task.score("val")


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
