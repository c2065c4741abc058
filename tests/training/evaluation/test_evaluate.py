import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.bundle import read_bundle, write_manifest
from model.reading.statements import VOCABULARY
from tests.training.ecg_folders import noise, write_record, write_shared_ptbxl
from tests.training.toy_bundle import write_toy_bundle
from training.config import Config, EvaluateConfig
from training.data import prepare
from training.errors import TrainingError
from training.evaluation import calibrate
from training.evaluation.evaluate import run
from training.evaluation.figures import Answers, groups_of
from training.sources import open_source

SETTINGS = EvaluateConfig(bootstrap=20, min_positives=5, processes=1)


def rows(count: int) -> list[tuple[object, ...]]:
    """Records whose amplitude, and so the toy network's logits, grows with the last digit of their number."""
    return [
        (
            number,
            "val" if number % 3 else "test",
            ("", "NORM", "MI")[number % 10 // 4] if number % 7 else "MI|HYP",
            "" if number % 11 == 0 else ("AF" if number % 10 > 6 else "NSR"),
            20.0 + number % 70,
            ("female", "male")[number % 2],
        )
        for number in range(1, count + 1)
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_shared_ptbxl(folder / "db", rows(120))
    prepare.run("ptbxl", folder / "db", folder / "prepared", processes=1)
    return folder


@pytest.fixture(scope="module")
def bundle(data: Path) -> Path:
    folder = write_toy_bundle(data / "bundle")
    calibrate.run(Config(), folder, data / "prepared", split="val", source=None, thresholds_version=None)
    return folder


def evaluated(bundle: Path, data: Path, out: Path, settings: EvaluateConfig = SETTINGS) -> dict[str, object]:
    return run(Config(evaluate=settings), bundle, data, out=out, split="test", source=None)


@pytest.fixture(scope="module")
def report(bundle: Path, data: Path) -> Path:
    evaluated(bundle, data / "prepared", data / "report")
    return data / "report"


def test_the_headline_holds_what_a_bundle_is_judged_by(report: Path) -> None:
    headline = json.loads((report / "report.json").read_text())["headline"]
    assert headline["n"] == 40
    assert headline["n_superclass"] < 40  # those without a superclass are left out of these figures alone
    assert headline["n_statement"] == 40 - sum(number % 11 == 0 for number in range(3, 121, 3))
    low, high = headline["super_auroc_interval"]
    assert low <= headline["super_auroc"] <= high
    assert 0.0 < headline["statement_auroc"] < 1.0
    assert headline["ece"] < 1.0


def test_every_statement_has_a_row_and_says_whether_it_counts(report: Path) -> None:
    statements = {one["key"]: one for one in json.loads((report / "report.json").read_text())["statements"]}
    assert statements["AF"]["counted"]
    assert statements["AF"]["figures"]["auroc"]["value"] > 0.9  # the loudest records of all
    assert not statements["LVH"]["counted"]
    assert statements["LVH"]["figures"]["auroc"]["value"] is None
    assert statements["LVH"]["group"] == "further"
    table = (report / "report.md").read_text()
    assert "| AF atrial fibrillation |" in table
    assert "| LVH left ventricular hypertrophy (not in the mean) | 0 | 0 | - |" in table


def test_sexes_and_age_bands_are_reported(report: Path) -> None:
    names = {one["name"] for one in json.loads((report / "report.json").read_text())["subgroups"]}
    assert names == {
        *("female", "male", "0 to 39 years", "40 to 59 years", "60 to 79 years", "80 years and over"),
    }


def test_there_is_a_picture_of_each_kind(report: Path) -> None:
    kinds = ("roc", "precision_recall", "reliability")
    wanted = {"auroc.png", *(f"{group}_{kind}.png" for group in ("superclass", "statements") for kind in kinds)}
    assert {path.name for path in report.glob("*.png")} == wanted
    assert min(path.stat().st_size for path in report.glob("*.png")) > 5000


def test_a_database_as_published_gives_what_its_prepared_folder_gives(bundle: Path, data: Path, tmp_path: Path) -> None:
    raw, prepared = (evaluated(bundle, data / name, tmp_path / name) for name in ("db", "prepared"))
    assert raw["super_auroc"] == pytest.approx(prepared["super_auroc"], abs=1e-3)
    assert raw["data_sha256"] == prepared["data_sha256"]
    assert raw["n"] == prepared["n"]


def test_all_records_can_be_scored(bundle: Path, data: Path, tmp_path: Path) -> None:
    found = run(Config(evaluate=SETTINGS), bundle, data / "prepared", out=tmp_path / "x", split="all", source=None)
    assert found["n"] == 120


def test_leads_that_are_not_named_are_silent(bundle: Path, data: Path, tmp_path: Path) -> None:
    # The toy network hears superclasses in leads I, II, V1, V2, V3 in turn.
    evaluated(bundle, data / "prepared", tmp_path, replace(SETTINGS, leads=("II",)))
    statements = {one["key"]: one for one in json.loads((tmp_path / "report.json").read_text())["statements"]}
    assert statements["NORM"]["figures"]["auroc"]["value"] == 0.5
    assert statements["MI"]["figures"]["auroc"]["value"] != 0.5


def test_the_multi_class_protocol_keeps_records_with_one_superclass(bundle: Path, data: Path, tmp_path: Path) -> None:
    found = evaluated(bundle, data / "prepared", tmp_path, replace(SETTINGS, protocol="multi-class"))
    one = sum("|" not in str(row[2]) and row[2] != "" for row in rows(120) if row[1] == "test")
    assert (found["n"], found["n_superclass"], found["n_statement"]) == (one, one, 0)
    assert found["statement_auroc"] is None


@pytest.mark.parametrize("keys", [("AF", "SB"), ("NORM", "MI")])
def test_the_multi_class_protocol_without_superclasses_is_refused(
    tmp_path: Path, foreign: Path, keys: tuple[str, ...]
) -> None:
    bundle = write_toy_bundle(tmp_path / "bundle", keys)
    settings = replace(SETTINGS, protocol="multi-class")
    with pytest.raises(TrainingError, match="no record has exactly one superclass that the bundle answers"):
        run(Config(evaluate=settings), bundle, foreign, out=None, split="all", source=None)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A challenge's records: two kinds of bundle branch block among quiet ones, and one that cannot be read."""
    folder = tmp_path / "foreign"
    loud = {"JS00003": "713426002", "JS00004": "59118001"}
    for number in range(1, 9):
        name = f"JS{number:05d}"
        recording = noise(9 if name in loud else 1, sampling_hz=500, duration_s=10.0 + number)
        write_record(folder, name, recording, mat=True, comments=f"#Dx: {loud.get(name, '426783006')}\n")
    (folder / "JS00008.mat").write_bytes(b"short")
    return folder


@pytest.mark.parametrize("split", ["test", "all"])
def test_a_database_that_nothing_was_learned_from_is_taken_whole(tmp_path: Path, foreign: Path, split: str) -> None:
    bundle = write_toy_bundle(tmp_path / "bundle", ("NORM", "CRBBB", "IRBBB", "LBBB", "AF"))
    found = run(Config(evaluate=SETTINGS), bundle, foreign, out=tmp_path / "report", split=split, source=None)
    assert (found["split"], found["n"], found["unusable"]) == ("all", 7, 1)
    assert found["auroc"]["BBB"] == 1.0  # through its kinds: the toy network hears them in leads of their own
    report = (tmp_path / "report" / "report.json").read_text()
    assert json.loads(report)["unusable"] == [["JS00008", "malformed_record"]]
    assert "| JS00008 | malformed_record |" in (tmp_path / "report" / "report.md").read_text()


@pytest.mark.parametrize("data", [{"source": "challenge"}, {"source": "x", "learned_from": ["challenge", "x"]}])
def test_a_database_that_a_bundle_was_fitted_on_keeps_its_splits(
    tmp_path: Path, foreign: Path, data: dict[str, object]
) -> None:
    bundle = write_toy_bundle(tmp_path / "bundle")
    manifest = read_bundle(bundle).manifest
    write_manifest(bundle, replace(manifest, data=data))
    splits = [entry.split for entry in open_source("challenge", foreign).entries if entry.record != "JS00008"]
    found = run(Config(evaluate=SETTINGS), bundle, foreign, out=None, split="train", source=None)
    assert (found["split"], found["n"]) == ("train", splits.count("train"))


def test_a_folder_with_nothing_to_read_is_refused(tmp_path: Path, foreign: Path) -> None:
    for path in foreign.glob("*.mat"):
        path.write_bytes(b"short")
    with pytest.raises(TrainingError, match="none of 8 records can be used; JS00001: malformed_record"):
        run(Config(), write_toy_bundle(tmp_path / "bundle"), foreign, out=None, split="all", source=None)


@pytest.mark.parametrize(
    ("settings", "split", "said"),
    [
        (replace(SETTINGS, leads=("X",)), "test", "the network has no lead 'X'"),
        (SETTINGS, "holdout", "unknown split 'holdout'"),
        (SETTINGS, "train", "no record in the split train"),
    ],
)
def test_what_cannot_be_scored_is_said(
    settings: EvaluateConfig, split: str, said: str, *, bundle: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=said):
        run(Config(evaluate=settings), bundle, data / "prepared", out=tmp_path, split=split, source=None)


def test_a_folder_prepared_for_another_input_is_refused(bundle: Path, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "prepared"
    folder.mkdir()
    for path in (data / "prepared").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"spec_sha256": "0"}))
    with pytest.raises(TrainingError, match="another input"):
        evaluated(bundle, folder, tmp_path / "x")


def test_figures_do_not_depend_on_the_batch(bundle: Path, data: Path, tmp_path: Path) -> None:
    first, second = (
        evaluated(bundle, data / "prepared", tmp_path / str(size), replace(SETTINGS, batch_size=size))
        for size in (1, 32)
    )
    assert np.isclose(float(str(first["super_auroc"])), float(str(second["super_auroc"])))


def test_the_headline_can_go_into_the_bundle(data: Path, tmp_path: Path) -> None:
    bundle = write_toy_bundle(tmp_path / "bundle")
    found = evaluated(bundle, data / "prepared", tmp_path / "x", replace(SETTINGS, into_bundle=True))
    assert read_bundle(bundle).manifest.metrics["test"]["super_auroc"] == found["super_auroc"]


def test_a_statement_known_to_few_is_in_another_mean_than_those_known_to_all() -> None:
    labels = np.full((100, 3), -1, dtype=np.int8)
    labels[:, 0] = labels[:90, 1] = labels[:20, 2] = 1
    columns = np.zeros((100, 3))
    statements = tuple(VOCABULARY[key] for key in ("AF", "NSR", "PVC"))
    answers = Answers(
        statements=statements, scores=columns, probabilities=columns, raw=columns, thresholds=columns[0],
        present=columns > 1, floors=columns[0], ceilings=columns[0], labels=labels,
    )  # fmt: skip
    assert groups_of(answers) == ("statement", "statement", "further")
