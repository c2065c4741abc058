"""The graph for any leads is optional, verified, and takes any number of leads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.bundle import Bundle, read_bundle, write_manifest
from model.engine import LeadEngine
from model.errors import BundleError
from model.nn.waves import AnyLeadHead, TwelveLeadHead, WaveHeadConfig, WaveNet, folded
from model.reading.delineation import WaveOutputs
from tests.training.toy_bundle import write_toy_bundle
from training.bundling.export import write_wave_graph

pytestmark = pytest.mark.filterwarnings("default")  # the exporter of torch warns about itself


@pytest.fixture(scope="module")
def net() -> WaveNet:
    torch.manual_seed(0)
    return WaveNet(WaveHeadConfig(widths=(4, 4, 4))).eval()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, net: WaveNet) -> Bundle:
    folder = write_toy_bundle(tmp_path_factory.mktemp("bundle") / "toy")
    manifest = read_bundle(folder).manifest
    write_manifest(folder, replace(manifest, wave_graph=write_wave_graph(TwelveLeadHead(net), folder)))
    return read_bundle(folder)


@pytest.mark.parametrize(("windows", "leads"), [(1, 1), (3, 2), (2, 15)])
def test_any_number_of_leads_is_answered_as_torch_does(bundle: Bundle, net: WaveNet, windows: int, leads: int) -> None:
    ecg = np.random.default_rng(0).normal(0, 0.3, (windows, leads, 2500)).astype(np.float32)
    said = WaveOutputs.of(LeadEngine(bundle).run(ecg))
    with torch.inference_mode():
        label, _, _ = AnyLeadHead(folded(net))(torch.from_numpy(ecg))
    assert said.label.shape == (windows, leads, 1250)
    assert said.distance.shape == (windows, leads, 2, 1250)
    assert (said.label == label.numpy()).mean() > 0.999


def test_an_altered_graph_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    for path in bundle.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "waves.onnx").write_bytes(b"something else")
    with pytest.raises(BundleError, match=r"waves\.onnx"):
        read_bundle(tmp_path)


def test_a_bundle_without_the_graph_says_so(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no graph"):
        LeadEngine(read_bundle(write_toy_bundle(tmp_path / "toy")))
