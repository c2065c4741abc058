"""A step of each stage computes where its network is.

Torch's `meta` device stands for a card: its tensors have shapes and no values, and one that was left on the CPU beside
them is an error, as it would be there.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from tests.training.finetuning.test_finetune import KEYS, small_data
from tests.training.waves.test_train import wave_set
from training.config import Config, FinetuneConfig, ModelConfig, PretrainConfig, WavesConfig
from training.data.windows import WindowStore
from training.finetuning.finetune import FinetuneTask
from training.pretraining.pretrain import PretrainTask
from training.running.loop import Task
from training.waves.task import Material, WaveTask

CARD = torch.device("meta")
MODEL = ModelConfig(dim=16, depth=2, heads=2, predictor_dim=16, predictor_depth=1, predictor_heads=2)
CHANGES = {"lead_dropout": 0.1, "lead_subset": 0.1, "amplitude": 0.1, "wander_mv": 0.1, "noise_mv": 0.1}


def step(task: Task, progress: float) -> None:
    """What the loop does to a task in a step, on half of a batch."""
    loss = task.loss(np.array([3, 1]), np.random.default_rng(0), progress)
    torch.autograd.backward(loss)
    task.optimizer.step()
    task.after_step(progress)
    assert loss.device == CARD
    assert all(one.device == CARD for one in task.network.parameters())


@pytest.mark.parametrize("factorised", [True, False])
@pytest.mark.parametrize("crop", [25, 50])
def test_pretraining(tmp_path: Path, *, factorised: bool, crop: int) -> None:
    stage = replace(PretrainConfig(crop_patches=crop, drop_path=0.1), **CHANGES)  # type: ignore[arg-type]
    config = Config(model=replace(MODEL, factorised=factorised), pretrain=stage)
    step(PretrainTask(config, small_data(), tmp_path, CARD), 0.5)


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])  # the detail path alone, all layers, whole windows
def test_finetuning(tmp_path: Path, progress: float) -> None:
    stage = replace(FinetuneConfig(crop_patches=25, detail_alone=0.3, frozen=0.4), **CHANGES)  # type: ignore[arg-type]
    step(FinetuneTask(Config(model=MODEL, finetune=stage), small_data(), KEYS, tmp_path, CARD), progress)


def test_waves() -> None:
    step(WaveTask(Material(wave_set(), device=CARD), WavesConfig()), 0.0)


def test_a_card_takes_windows_that_lie_on_the_disk_to_be_read_alone() -> None:
    windows = small_data().windows
    windows.flags.writeable = False  # torch warns of such arrays, and a warning is an error here
    assert WindowStore(windows, CARD).take(np.array([2, 0])).shape == (2, 8, 2500)


@pytest.mark.slow
def test_a_compiled_network_is_compiled_whole_and_not_for_every_mask(tmp_path: Path) -> None:
    counter = CompileCounter()
    task = PretrainTask(
        Config(model=replace(MODEL, depth=1), pretrain=PretrainConfig()), small_data(), tmp_path, torch.device("cpu")
    )
    task.network.compile(backend=counter, fullgraph=True)
    for seed in range(8):
        task.loss(np.array([3, 1]), np.random.default_rng(seed), 0.5)
    assert counter.frame_count <= 2  # for the first mask, then for any
