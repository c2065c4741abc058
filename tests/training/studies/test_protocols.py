"""Protocols run from one command, share what was computed, and stand beside what was published."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.nn.encoder import Encoder
from tests.training.studies.small_study import CONFIG, COUNT, write_prepared
from training.cli import main
from training.data.dataset import META, read_prepared
from training.errors import TrainingError
from training.pretraining.representations import Representations
from training.running.checkpoint import write_checkpoint
from training.studies.protocols import PROTOCOLS, run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("start") / "encoder.pt"
    write_checkpoint(path, {"encoder": Encoder(CONFIG.model.encoder).state_dict()})
    return path


def _results(answer: dict[str, object]) -> list[dict[str, object]]:
    results = answer["results"]
    assert isinstance(results, list)
    return results


def test_a_linear_probe_reads_what_is_there(data: Path, start: Path, tmp_path: Path) -> None:
    results = _results(run("linear-probe", CONFIG, data, tmp_path, start=start, device="cpu"))
    assert [one["published"] for one in results] == [0.912, 0.903, None]
    assert all(one["records"] == COUNT // 2 for one in results)
    assert all(one["auroc"]["value"] > 0.95 for one in results)  # type: ignore[index]
    assert json.loads((tmp_path / "linear-probe.json").read_text()) == results
    assert (
        "| linear probe, multi-class, class against class | 60 | 1.000 |" in (tmp_path / "linear-probe.md").read_text()
    )


def test_low_shot_takes_three_draws_of_each_share(data: Path, start: Path, tmp_path: Path) -> None:
    results = _results(run("low-shot", CONFIG, data, tmp_path, start=start, device="cpu"))
    assert [one["records"] for one in results] == [1, 1, 1, 6, 6, 6]
    assert [one["published"] for one in results] == [0.839] * 3 + [0.893] * 3


@pytest.mark.parametrize("name", ["finetune", "multi-class"])
def test_tuning_starts_from_the_encoder_and_is_scored_on_test(
    name: str, data: Path, start: Path, tmp_path: Path
) -> None:
    (result,) = _results(run(name, CONFIG, data, tmp_path, start=start, device="cpu"))
    assert result["records"] == COUNT // 2
    assert 0.0 <= result["auroc"]["low"] <= result["auroc"]["value"] <= 1.0  # type: ignore[index]


def test_representations_are_computed_once(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = Encoder(CONFIG.model.encoder)
    prepared = read_prepared(data)
    seen: list[int] = []
    encoder.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    first = Representations(encoder, prepared, tmp_path).of(np.array([3, 7]))
    again = Representations(encoder, prepared, tmp_path)
    np.testing.assert_array_equal(again.of(np.array([7, 3])), first[::-1])
    assert sum(seen) == 4, "two records of two windows"
    again.of(np.array([3, 8]))
    assert sum(seen) == 6
    torch.nn.init.normal_(encoder.embed.weight)
    assert not np.allclose(Representations(encoder, prepared, tmp_path).of(np.array([3, 7])), first)


def test_representations_of_other_windows_or_another_mask_are_never_taken(data: Path, tmp_path: Path) -> None:
    prepared, records = read_prepared(data), np.array([3, 7])
    encoders = {}
    for cropa in (True, False):
        torch.manual_seed(0)
        encoders[cropa] = Encoder(replace(CONFIG.model.encoder, cropa=cropa))
    first = Representations(encoders[True], prepared, tmp_path).of(records)
    others = {
        "the same records in another order": (encoders[True], replace(prepared, windows=prepared.windows[::-1])),
        "the same records cut otherwise": (encoders[True], replace(prepared, windows=prepared.windows * np.float16(2))),
        "the same weights without CroPA": (encoders[False], prepared),
    }
    for what, (encoder, windows) in others.items():
        assert not np.allclose(Representations(encoder, windows, tmp_path).of(records), first), what
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    np.testing.assert_array_equal(Representations(encoders[True], prepared, tmp_path).of(records), first)
    assert kept == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_a_disk_that_is_full_leaves_no_half_of_a_file(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.pretraining.representations.np.save", full)
    with pytest.raises(OSError, match="No space"):
        Representations(Encoder(CONFIG.model.encoder), read_prepared(data), tmp_path)
    assert not list(tmp_path.iterdir())


def test_data_without_superclasses_are_refused(data: Path, start: Path, tmp_path: Path) -> None:
    without = shutil.copytree(data, tmp_path / "without")
    (without / META).write_text(json.dumps({"keys": ["AF", "SB"], "source": "x", "data_sha256": "1"}))
    for name in ("linear-probe", "low-shot"):
        with pytest.raises(TrainingError, match="records has superclasses to teach or to score"):
            run(name, CONFIG, without, tmp_path / "out", start=start, device="cpu")


def test_the_command_line_offers_every_protocol(
    data: Path, start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["protocol", "--help"])
    assert "{" + ",".join(PROTOCOLS) + "}" in capsys.readouterr().out
    arguments = ["protocol", "low-shot", "--config", "tiny", "--data", str(data), "--from", str(start)]
    assert main([*arguments, "--out", str(tmp_path)]) == 2
    assert "the encoder has other sizes than [model]" in capsys.readouterr().err
