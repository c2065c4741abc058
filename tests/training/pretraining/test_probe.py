"""The probe that picks a checkpoint asks for what the data know, and data without labels can be pretrained on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.nn.encoder import Encoder
from training.config import Config, ModelConfig, PretrainConfig
from training.data.dataset import INDEX, INDEX_COLUMNS, LABELS, META, WINDOWS, read_prepared
from training.data.windows import WindowStore
from training.errors import TrainingError
from training.pretraining import pretrain
from training.pretraining.probe import probe_auroc

MODEL = ModelConfig(dim=16, depth=1, heads=2, predictor_dim=16, predictor_depth=1, predictor_heads=2, detail=False)
COUNT = 60
LOUD = np.arange(COUNT) % 2


def write_prepared(folder: Path, keys: list[str], labels: np.ndarray) -> Path:
    """A prepared folder whose odd records are louder."""
    folder.mkdir()
    random = np.random.default_rng(0)
    windows = random.normal(size=(COUNT, 8, 2500)) * (0.1 + 0.3 * LOUD)[:, None, None]
    np.save(folder / WINDOWS, windows.astype(np.float16))
    np.save(folder / LABELS, labels.astype(np.int8))
    rows = [
        f"{row},x,{('train', 'train', 'val')[row // 2 % 3]},,50,male,250,I,{row},1,{row:x}," for row in range(COUNT)
    ]
    (folder / INDEX).write_text("\n".join([",".join(INDEX_COLUMNS), *rows]) + "\n")
    (folder / META).write_text(json.dumps({"keys": keys, "source": "x", "data_sha256": "0"}))
    return folder


def probed(folder: Path) -> float:
    torch.manual_seed(0)
    data = read_prepared(folder)
    windows = WindowStore(data.windows, torch.device("cpu"))
    return probe_auroc(Encoder(MODEL.encoder), data, windows, records=COUNT)


@pytest.mark.parametrize("keys", [["NORM", "MI"], ["AF", "SB"]])
def test_superclasses_are_asked_for_or_else_the_statements(tmp_path: Path, keys: list[str]) -> None:
    assert probed(write_prepared(tmp_path / "x", keys, np.stack([1 - LOUD, LOUD], axis=1))) > 0.9


def test_what_is_unknown_is_not_taken_for_absent(tmp_path: Path) -> None:
    labels = np.stack([1 - LOUD, LOUD], axis=1)
    labels[LOUD == 1, 0] = -1  # no record is known to be without NORM
    assert probed(write_prepared(tmp_path / "x", ["NORM", "MI"], labels)) > 0.9


def test_a_run_does_not_go_on_with_other_data(tmp_path: Path) -> None:
    labels = np.stack([1 - LOUD, LOUD], axis=1)
    stage = PretrainConfig(epochs=1, batch_size=16, crop_patches=10)
    config = replace(Config(model=MODEL), pretrain=stage)
    pretrain.run(config, write_prepared(tmp_path / "x", ["NORM", "MI"], labels), tmp_path / "out")
    with pytest.raises(TrainingError, match="is of a run with other settings or data; choose another --out"):
        pretrain.run(config, write_prepared(tmp_path / "y", ["NORM", "CD"], labels), tmp_path / "out")


def test_data_without_labels_give_the_last_encoder(tmp_path: Path) -> None:
    folder = write_prepared(tmp_path / "x", [], np.zeros((COUNT, 0)))
    stage = PretrainConfig(epochs=1, batch_size=16, crop_patches=10, probe_records=COUNT)
    answer = pretrain.run(replace(Config(model=MODEL), pretrain=stage), folder, tmp_path / "out")
    assert answer == {"encoder": str(tmp_path / "out" / "encoder.pt"), "probe_auroc": None}
    assert (tmp_path / "out" / "encoder.pt").exists()
