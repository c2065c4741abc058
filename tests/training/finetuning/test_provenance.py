"""A network remembers every database that it learned from, through all stages, or none could be thanked for it."""

from pathlib import Path

import pytest

from tests.training.studies.small_study import CONFIG, write_prepared
from training.finetuning import finetune
from training.pretraining import pretrain
from training.running.checkpoint import read_checkpoint, write_checkpoint
from training.running.state import read_sources, read_trained


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two prepared folders, as of two databases."""
    folder = tmp_path_factory.mktemp("prepared")
    for source in ("first", "second"):
        (folder / source).mkdir()
        write_prepared(folder / source, source=source)
    return folder


def test_every_stage_adds_its_own(prepared: Path, tmp_path: Path) -> None:
    pretrain.run(CONFIG, prepared / "first", tmp_path / "pretrain", device="cpu")
    encoder = tmp_path / "pretrain" / pretrain.ENCODER
    assert read_sources(encoder) == ("first",)
    finetune.run(CONFIG, prepared / "second", tmp_path / "finetune", device="cpu", start=encoder)
    network = tmp_path / "finetune" / finetune.NETWORK
    assert read_trained(network).sources == ("first", "second")
    finetune.run(CONFIG, prepared / "first", tmp_path / "on", device="cpu", start=network, whole=True)
    assert read_trained(tmp_path / "on" / finetune.NETWORK).sources == ("first", "second")


def test_a_file_that_does_not_say_is_taken_as_it_is(prepared: Path, tmp_path: Path) -> None:
    pretrain.run(CONFIG, prepared / "first", tmp_path / "pretrain", device="cpu")
    encoder = read_checkpoint(tmp_path / "pretrain" / pretrain.ENCODER)["encoder"]
    write_checkpoint(tmp_path / "old.pt", {"encoder": encoder})
    assert read_sources(tmp_path / "old.pt") == ()
    finetune.run(CONFIG, prepared / "second", tmp_path / "finetune", device="cpu", start=tmp_path / "old.pt")
    assert read_trained(tmp_path / "finetune" / finetune.NETWORK).sources == ("second",)
