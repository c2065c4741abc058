"""Ablations: two arms that differ in one thing, of the same budget, read off alike."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tests.training.studies.small_study import CONFIG, COUNT, write_prepared
from training.cli import main
from training.config import AblationConfig, Config
from training.errors import TrainingError
from training.pretraining.representations import Representations
from training.running.loop import LOG
from training.studies import ablation
from training.studies.ablation import ABLATIONS, run
from training.studies.protocols import Bench, Probe, read_off
from training.studies.results import Result


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("prepared"), patients=True)


def _with(**budget: float) -> Config:
    return replace(CONFIG, ablation=AblationConfig(**budget))  # type: ignore[arg-type]


def _lines(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(answer["results"])


def _last(run_folder: Path) -> dict[str, Any]:
    line: dict[str, Any] = json.loads((run_folder / LOG).read_text().splitlines()[-1])
    return line


@pytest.mark.parametrize("name", ABLATIONS)
def test_both_arms_get_the_same_minutes(name: str, data: Path, tmp_path: Path) -> None:
    results = _lines(run(name, _with(minutes=0.02), data, tmp_path, device="cpu"))
    assert len(results) == 2
    assert all(" ECGs seen" in one["protocol"] for one in results)
    stages = {"pretrain", "finetune"}
    ran = [stages & {path.name for path in (tmp_path / f"arm{number}").iterdir()} for number in (0, 1)]
    assert ran == ([stages, {"finetune"}] if name == "scratch" else [{"pretrain"}, {"pretrain"}])
    assert len((tmp_path / f"ablation-{name}.md").read_text().splitlines()) == 5


@pytest.mark.parametrize("name", ABLATIONS)
def test_both_arms_get_the_same_passes_whatever_their_stages_are_set_to(name: str, data: Path, tmp_path: Path) -> None:
    short = replace(CONFIG, pretrain=replace(CONFIG.pretrain, epochs=0.1, minutes=1e-6))
    run(name, replace(short, ablation=AblationConfig(epochs=4.0)), data, tmp_path, device="cpu")
    for number in (0, 1):
        passes = [_last(log.parent)["epoch"] for log in (tmp_path / f"arm{number}").glob(f"*/{LOG}")]
        assert sum(passes) == pytest.approx(4.0, abs=0.2)


def test_the_clock_ends_an_arm_that_has_no_passes_to_end_it(data: Path, tmp_path: Path) -> None:
    short = replace(CONFIG, pretrain=replace(CONFIG.pretrain, epochs=0.1))
    run("masking", replace(short, ablation=AblationConfig(minutes=0.05)), data, tmp_path, device="cpu")
    assert all(_last(tmp_path / f"arm{number}" / "pretrain")["minutes"] >= 0.05 for number in (0, 1))


def test_an_arm_is_read_off_some_of_the_patients_and_scored_on_every_test_record(data: Path, tmp_path: Path) -> None:
    every = _lines(run("cropa", _with(epochs=0.1), data, tmp_path, device="cpu"))
    some = _lines(run("cropa", _with(epochs=0.1, share=0.2), data, tmp_path, device="cpu"))
    assert [one["records"] for one in every] == [COUNT // 2] * 2
    assert [one["records"] for one in some] == [12] * 2, "six of thirty patients, two records each"


def test_which_patients_read_an_arm_off_hangs_on_their_seed_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[tuple[int, ...], ...]] = []

    def spied(bench: Bench, frozen: Representations, probe: Probe) -> Result:
        assert probe.choosing is not None
        assert set(probe.choosing) < set(bench.data.rows("val"))
        taken.append((tuple(probe.rows), tuple(probe.choosing)))
        return read_off(bench, frozen, probe)

    monkeypatch.setattr(ablation, "read_off", spied)
    for seed in (0, 1):
        run("masking", _with(epochs=0.1, share=0.2, share_seed=seed), data, tmp_path, device="cpu")
    assert taken[0] == taken[1], "both arms alike"
    assert taken[2] == taken[3]
    assert all(one != other for one, other in zip(taken[0], taken[2], strict=True))


def test_how_far_the_arms_are_apart_is_drawn_on_the_same_records(data: Path, tmp_path: Path) -> None:
    answer = run("masking", _with(epochs=0.5), data, tmp_path, device="cpu")
    first, second = (one["auroc"] for one in _lines(answer))
    apart: dict[str, float] = answer["difference"]  # type: ignore[assignment]
    assert apart["value"] == pytest.approx(first["value"] - second["value"])
    assert apart["low"] <= apart["value"] <= apart["high"]
    assert json.loads((tmp_path / "ablation-masking.json").read_text()) == answer
    assert "| the first less the second |" in (tmp_path / "ablation-masking.md").read_text()


def test_an_arm_beside_itself_is_not_apart_at_all(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ABLATIONS, "nothing", lambda config: (ABLATIONS["masking"](config)[0],) * 2)
    assert run("nothing", _with(epochs=0.5), data, tmp_path, device="cpu")["difference"] == {
        "value": 0.0,
        "low": 0.0,
        "high": 0.0,
    }


def test_without_a_budget_nothing_is_begun(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="needs a budget"):
        run("masking", CONFIG, data, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_the_arms_of_an_ablation_differ_in_one_thing() -> None:
    for arms in ABLATIONS.values():
        first, second = (asdict(arm.config) | {"pretrained": arm.pretrained} for arm in arms(CONFIG))
        sections = [name for name in first if first[name] != second[name]]
        assert len(sections) == 1
        if sections != ["pretrained"]:
            assert sum(first[sections[0]][key] != second[sections[0]][key] for key in first[sections[0]]) == 1


def test_the_command_line_offers_every_ablation_and_its_budget(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["ablation", "--help"])
    assert "{" + ",".join(ABLATIONS) + "}" in capsys.readouterr().out
    arguments = ["ablation", "masking", "--data", str(data), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--epochs", "-1"]) == 2
    assert "ablation.epochs is -1" in capsys.readouterr().err
    assert main(arguments) == 2
    assert "needs a budget" in capsys.readouterr().err
