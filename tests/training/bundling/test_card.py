"""The card says of a bundle what is known of it, and nothing of data that nobody described."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.bundle import read_bundle, write_manifest
from tests.training.toy_bundle import write_toy_bundle
from training.bundling import card
from training.errors import TrainingError
from training.running.loop import LOG

LINE = {"step": 3, "minutes": 2.0, "ecgs_per_s": 10.0, "loss": 0.5, "super_auroc": 0.9}


def _bundle(folder: Path, *, cropa: bool = True, **data: Any) -> Path:
    """A scored bundle whose manifest says this of its data."""
    write_toy_bundle(folder)
    manifest = read_bundle(folder).manifest
    known = {"records": 7, "data_sha256": "0" * 64, "split_sha256": "1" * 64}
    model = {"dim": 32, "depth": 1, "heads": 2, "detail": False, "cropa": cropa}
    variants = {name: replace(one, parity=1e-6) for name, one in manifest.variants.items()}
    manifest = replace(manifest, data=known | data, training={"config": {"model": model}}, variants=variants)
    write_manifest(folder, replace(manifest, metrics={"test": {"n": 3, "super_auroc": 0.8125}}))
    return folder


def _runs(folder: Path) -> Path:
    (folder / "finetune").mkdir(parents=True)
    (folder / "finetune" / LOG).write_text(json.dumps(LINE) + "\n")
    return folder


def _card(tmp_path: Path, **about: Any) -> str:
    bundle = _bundle(tmp_path / "bundle", **about)
    assert card.run(bundle, _runs(tmp_path / "runs"))["logs"] == ["finetune"]
    return " ".join((bundle / card.CARD).read_text().split())


def test_figures_and_logs_of_the_run_are_on_it(tmp_path: Path) -> None:
    text = _card(tmp_path, source="ptbxl")
    assert "| superclasses, macro AUROC | 0.8125 | - |" in text
    assert "| finetune | 1,200 | 2 | 10.0 | 0.5000 | super auroc 0.9000 |" in text
    assert (tmp_path / "bundle" / "finetune.jsonl").exists()


def test_what_a_publisher_says_of_a_database_is_said(tmp_path: Path) -> None:
    text = _card(tmp_path, source="ptbxl", sampling_hz={"500": 7})
    assert "PTB-XL is one centre's recordings of 1989-1996." in text
    assert "The records that taught were sampled at 500 Hz. It sees nothing above 40 Hz" in text


def test_nothing_is_said_of_records_that_nobody_described(tmp_path: Path) -> None:
    text = _card(tmp_path, source="wfdb-folder")
    assert "1989" not in text
    assert "sampled at" not in text
    assert "Whom the records of `wfdb-folder` stand for, only their owner can say." in text


def test_what_a_network_learned_before_is_said_too(tmp_path: Path) -> None:
    text = _card(tmp_path, source="wfdb-folder", learned_from=["ptbxl", "wfdb-folder"])
    assert "split `111111111111`), having learned from `ptbxl` before, calibrated" in text
    assert "1989-1996" in text


@pytest.mark.parametrize(("cropa", "said"), [(True, "Cross-Pattern Attention"), (False, "full attention")])
def test_the_attention_is_the_one_that_it_has(tmp_path: Path, said: str, *, cropa: bool) -> None:
    assert f"under {said}, pooled" in _card(tmp_path, source="ptbxl", cropa=cropa)


def test_a_card_without_any_run_is_refused(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path / "bundle", source="ptbxl")
    with pytest.raises(TrainingError, match="holds no run of pretrain"):
        card.run(bundle, tmp_path / "nowhere")
    assert not (bundle / card.CARD).exists()
