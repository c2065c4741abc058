"""Every stage of training on 200 simulated records, by the commands that a researcher types."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from model.bundle import read_bundle
from model.engine import OnnxEngine
from training.bundling.parity import require_cropa_mask
from training.cli import main
from training.running.state import read_encoder, read_trained

CONFIG = """
[model]
dim = 32
depth = 2
heads = 2
predictor_dim = 16
predictor_depth = 1
predictor_heads = 2

[pretrain]
epochs = 2
batch_size = 16
rate = 2e-3
crop_patches = 25
probe_records = 100

[finetune]
epochs = 6
batch_size = 16
rate = 3e-3
crop_patches = 25
lead_dropout = 0.05
averaging = 0.8
min_positives = 10

[evaluate]
bootstrap = 50
"""


def _run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, object]:
    """The stage's last line of output, after it ended well."""
    assert main([str(one) for one in arguments]) == 0
    answer: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return answer


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the exporter of torch warns about itself
def test_from_records_to_a_scored_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, records, data = tmp_path / "small.toml", tmp_path / "records", tmp_path / "prepared"
    config.write_text(CONFIG)
    bundle = tmp_path / "bundle"
    _run(capsys, "simulate", "--out", records, "--records", 200)
    _run(capsys, "prepare", "--source", "wfdb-folder", "--data", records, "--out", data)
    configured = ("--config", config, "--data", data)
    pretrained = _run(capsys, "pretrain", *configured, "--out", tmp_path / "pretrain")
    tuned = _run(capsys, "finetune", *configured, "--from", pretrained["encoder"], "--out", tmp_path / "finetune")
    _run(capsys, "export", *configured, "--from", tuned["network"], "--out", bundle)
    _run(capsys, "calibrate", *configured, "--bundle", bundle)
    report = ("--out", tmp_path / "report", "--into-bundle")
    figures = _run(capsys, "evaluate", *configured, "--bundle", bundle, *report)
    _run(capsys, "card", "--bundle", bundle, "--runs", tmp_path)
    parity = _run(capsys, "parity", "--bundle", bundle, "--data", records, "--records", 20)

    assert {"super_auroc", "statement_auroc", "ece", "n"} <= figures.keys()
    assert float(str(figures["super_auroc"])) > 0.65  # simulated diagnoses are plain to see; chance is 0.5
    assert f"{figures['super_auroc']:.4f}" in (bundle / "MODEL_CARD.md").read_text()
    assert (tmp_path / "report" / "report.md").exists()
    assert max(dict(parity["parity"]).values()) <= 1e-4  # type: ignore[call-overload]
    _check_graphs(bundle)
    _check_weights(bundle, Path(str(tuned["network"])))
    again = _run(
        capsys, "finetune", *configured, "--from", bundle, "--out", tmp_path / "more", "-s", "finetune.epochs=1"
    )
    assert Path(str(again["network"])).exists()


def _check_graphs(bundle: Path) -> None:
    opened = read_bundle(bundle)
    assert opened.manifest.thresholds_version != "uncalibrated"
    require_cropa_mask(bundle / opened.manifest.variants["masked-fp32"].file)
    for variant in opened.manifest.variants.values():
        graph = onnx.load(bundle / variant.file, load_external_data=False)
        assert {one.name for one in graph.graph.output} == {"logits", "embedding"}
        assert not any(node.metadata_props or node.doc_string for node in graph.graph.node)
    windows = np.random.default_rng(0).standard_normal((5, 8, 2500)).astype(np.float32)
    together = OnnxEngine(opened).run(windows).logits
    alone = np.concatenate([OnnxEngine(opened).run(windows[row : row + 1]).logits for row in range(5)])
    assert np.abs(together - alone).max() < 1e-4


def _check_weights(bundle: Path, checkpoint: Path) -> None:
    """What the graph holds is what was trained, name by name."""
    exported, trained = read_trained(bundle), read_trained(checkpoint)
    assert exported.keys == trained.keys
    for name, value in trained.weights.items():
        if not name.endswith("num_batches_tracked"):
            assert np.array_equal(exported.weights[name].numpy(), value.numpy()), name
    assert read_encoder(bundle).keys() == read_encoder(checkpoint).keys()
