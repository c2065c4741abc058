"""What cannot become a bundle is refused in one line, before anything is written."""

from dataclasses import asdict
from pathlib import Path

import pytest

from model.nn.network import EcgNetwork
from tests.training.ecg_folders import write_shared_ptbxl
from training.bundling import export
from training.config import Config, ModelConfig
from training.data import prepare
from training.errors import TrainingError
from training.running.checkpoint import write_checkpoint

CONFIG = Config(model=ModelConfig(dim=16, depth=1, heads=2, detail=False))
ROWS = [(1, "train", "NORM", "NSR", 56.0, "female"), (2, "test", "MI", "AF", 60.0, "male")]


def test_data_without_val_records_are_refused(tmp_path: Path) -> None:
    data, network = tmp_path / "prepared", tmp_path / "network.pt"
    prepare.run("ptbxl", write_shared_ptbxl(tmp_path / "db", ROWS), data, processes=1)
    weights = EcgNetwork(CONFIG.model.encoder, 2, detail=CONFIG.model.paths).state_dict()
    write_checkpoint(network, {"network": weights, "keys": ["NORM", "MI"], "config": asdict(CONFIG), "val": {}})
    with pytest.raises(TrainingError, match="no record in the split val"):
        export.run(CONFIG, start=network, data=data, out=tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
