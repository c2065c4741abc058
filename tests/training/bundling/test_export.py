"""A bundle records how each of its parts was trained and on what; what cannot become one is refused in one line."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from model.bundle import Bundle, read_bundle
from model.nn.network import EcgNetwork
from model.nn.waves import WaveHeadConfig, WaveNet
from tests.training.ecg_folders import write_shared_ptbxl
from training.bundling import export
from training.config import Config, ExportConfig, ModelConfig, WavesConfig
from training.data import prepare
from training.errors import TrainingError
from training.running.checkpoint import write_checkpoint

CONFIG = Config(
    model=ModelConfig(dim=16, depth=1, heads=2, detail=False), export=ExportConfig(variants=("masked-fp32",))
)
TAUGHT = replace(CONFIG, waves=WavesConfig(epochs=7.0, seed=3))
"""The configuration that a wave head was trained with, which need not be the network's."""

ROWS = [(1, "train", "NORM", "NSR", 56.0, "female"), (2, "test", "MI", "AF", 60.0, "male")]
WITH_VAL = [*ROWS, (3, "val", "NORM", "NSR", 50.0, "female")]


def _network(path: Path) -> Path:
    """A fine-tuned network of random weights that began on other data."""
    weights = EcgNetwork(CONFIG.model.encoder, 2, detail=CONFIG.model.paths).state_dict()
    state = {"network": weights, "keys": ["NORM", "MI"], "config": asdict(CONFIG), "val": {}, "sources": ["challenge"]}
    write_checkpoint(path, state)
    return path


def _head(path: Path) -> Path:
    """A wave head of random weights."""
    sizes = WaveHeadConfig(widths=(4, 8, 8))
    write_checkpoint(path, {"config": asdict(sizes), "state": WaveNet(sizes).state_dict()})
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with a wave head of its own."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("export")
    prepare.run("ptbxl", write_shared_ptbxl(folder / "db", WITH_VAL), folder / "prepared", processes=1)
    start, waves = _network(folder / "network.pt"), _head(folder / "head.pt")
    export.run(TAUGHT, start=start, data=folder / "prepared", out=folder / "bundle", waves=waves)
    return read_bundle(folder / "bundle")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the exporter of torch warns about itself
def test_the_settings_of_the_wave_head_are_in_the_bundle(bundle: Bundle) -> None:
    recorded = bundle.manifest.training["config"]
    assert recorded["waves"] == asdict(TAUGHT.waves)
    assert recorded["finetune"] == asdict(CONFIG.finetune), "the network's own"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_settings_of_a_bundles_wave_head_go_with_it(bundle: Bundle, tmp_path: Path) -> None:
    data, start = bundle.folder.parent / "prepared", bundle.folder.parent / "network.pt"
    other = replace(CONFIG, waves=WavesConfig(epochs=1.0))
    export.run(other, start=start, data=data, out=tmp_path / "bundle", waves=bundle.folder)
    assert read_bundle(tmp_path / "bundle").manifest.training["config"]["waves"] == asdict(TAUGHT.waves)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_all_databases_that_were_learned_from_are_named_and_thanked(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert manifest.data["learned_from"] == ["challenge", "ptbxl"]
    assert manifest.data["sampling_hz"] == {"100": 3}
    thanked = [licence.split(":")[0] for licence in manifest.licences]
    assert thanked == ["PhysioNet/Computing in Cardiology Challenge 2021", "PTB-XL 1.0.3", "LUDB 1.0.1"]


def test_data_without_val_records_are_refused(tmp_path: Path) -> None:
    data = tmp_path / "prepared"
    prepare.run("ptbxl", write_shared_ptbxl(tmp_path / "db", ROWS), data, processes=1)
    with pytest.raises(TrainingError, match="no record in the split val"):
        export.run(CONFIG, start=_network(tmp_path / "network.pt"), data=data, out=tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
