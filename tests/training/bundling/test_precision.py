"""Variants in fewer bits answer nearly the same, keep their inputs and outputs, and share what they can."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch

from model.bundle import Bundle, Manifest, Output, Variant, read_bundle, read_self_test, write_manifest
from model.engine import OnnxEngine
from model.nn.network import EcgNetwork, ServedNetwork
from model.nn.waves import TwelveLeadHead, WaveHeadConfig, WaveNet
from model.reading.findings import Calibration
from model.reading.statements import VOCABULARY
from model.signal.leads import STANDARD_LEADS
from model.signal.spec import SPEC
from service.soundness import require_self_test
from training.bundling import export
from training.bundling.self_test import write_self_test
from training.config import Config, ModelConfig
from training.errors import TrainingError
from training.running.state import Trained, read_trained, read_wave_net

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # the exporter of torch warns about itself

KEYS = ("NORM", "MI", "AF")
NAMES = ("masked-fp32", "masked-fp16", "factorised-int8")
HEAD = WaveHeadConfig(widths=(4, 8, 8), folded=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A network of random weights with a wave head, in three precisions."""
    torch.manual_seed(0)
    config = Config(model=ModelConfig(dim=32, depth=1, heads=2, detail=False))
    network = EcgNetwork(config.model.encoder, len(KEYS), detail=False).eval()
    trained = Trained(network.state_dict(), KEYS, config, {})
    folder, head = tmp_path_factory.mktemp("bundle"), TwelveLeadHead(WaveNet(HEAD).eval())
    export.write_graphs(trained, NAMES, folder, head)
    manifest = Manifest(
        name="precisions",
        version="0",
        spec=SPEC,
        spec_sha256=SPEC.sha256(),
        outputs=tuple(Output(VOCABULARY[key], Calibration()) for key in KEYS),
        thresholds_version="none",
        variants={name: export.variant_of(name, folder) for name in NAMES},
        wave_leads=STANDARD_LEADS,
        training={"config": {"model": {"dim": 32, "depth": 1, "heads": 2, "detail": False}}},
        self_test=write_self_test(ServedNetwork(trained.network(), head).eval(), SPEC, folder),
    )
    write_manifest(folder, manifest)
    return read_bundle(folder)


def windows_of(bundle: Bundle) -> npt.NDArray[np.float32]:
    windows: npt.NDArray[np.float32] = read_self_test(bundle)["windows"]
    return windows


@pytest.mark.parametrize(("name", "most"), [("masked-fp32", 1e-4), ("masked-fp16", 0.02), ("factorised-int8", 0.3)])
def test_each_precision_keeps_to_the_self_test(bundle: Bundle, name: str, most: float) -> None:
    engine = OnnxEngine(bundle, variant=name, device="cpu")
    require_self_test(engine, bundle)
    windows, wanted = windows_of(bundle), read_self_test(bundle)["logits"]
    alone = np.concatenate([engine.run(windows[row : row + 1]).logits for row in range(len(windows))])
    assert np.abs(alone - wanted).max() <= most
    assert alone.dtype == np.float32


def test_what_goes_in_and_comes_out_is_the_same_in_every_precision(bundle: Bundle) -> None:
    def ends(name: str) -> list[tuple[str, int]]:
        graph = onnx.load(bundle.folder / f"{name}.onnx", load_external_data=False).graph
        return [(one.name, one.type.tensor_type.elem_type) for one in (*graph.input, *graph.output)]

    assert ends("masked-fp16") == ends("factorised-int8") == ends("masked-fp32")


def test_whole_numbers_stand_for_constant_products_alone_and_the_rest_is_shared(bundle: Bundle) -> None:
    variants = bundle.manifest.variants
    assert [(one.attention, one.precision) for one in variants.values()] == [
        ("masked", "fp32"),
        ("masked", "fp16"),
        ("factorised", "int8"),
    ]
    assert set(variants["factorised-int8"].sha256) == {"factorised-int8.onnx", "weights.bin"}
    graph = onnx.load(bundle.folder / "factorised-int8.onnx", load_external_data=False).graph
    kinds = [node.op_type for node in graph.node]
    assert "MatMulInteger" in kinds
    assert "ConvInteger" not in kinds
    assert kinds.count("MatMul") >= 2  # the products of attention
    assert "head.out.weight" not in [one.name for one in graph.initializer if one.data_type == onnx.TensorProto.INT8]


def test_a_bundle_gives_back_its_network_and_its_wave_head(bundle: Bundle) -> None:
    assert read_trained(bundle.folder).keys == KEYS
    net = read_wave_net(bundle.folder)
    assert net is not None
    assert net.config == HEAD
    waves = ServedNetwork(read_trained(bundle.folder).network(), TwelveLeadHead(net)).eval()
    with torch.no_grad():
        answers = waves(torch.from_numpy(windows_of(bundle)))
    for name, values in zip(waves.output_names, answers, strict=True):
        np.testing.assert_allclose(values.numpy(), read_self_test(bundle)[name], atol=1e-5)


def test_a_network_is_exported_with_the_wave_head_of_a_bundle(bundle: Bundle, tmp_path: Path) -> None:
    head = export.read_wave_head(tmp_path / "network.pt", bundle.folder)
    assert head is not None
    assert head.net.config == HEAD
    assert export.read_wave_head(tmp_path / "network.pt", None) is None


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(TrainingError, match="unknown variant masked-fp8; one of masked-fp32"):
        export.variant_of("masked-fp8", Path("nowhere"))


def test_a_variant_that_loses_too_much_does_not_ship(tmp_path: Path) -> None:
    variants = {name: Variant(f"{name}.onnx", {}, name[-4:], "masked") for name in ("a-fp32", "a-fp16", "a-int8")}
    for one in variants.values():
        (tmp_path / one.file).write_bytes(b"graph")
    kept = export.kept_variants(variants, {"a-fp16": -0.0001, "a-int8": 0.0021}, tmp_path)
    assert list(kept) == ["a-fp32", "a-fp16"]
    assert kept["a-fp16"].metrics == {"auroc_lost": -0.0001}
    assert not (tmp_path / "a-int8.onnx").exists()
    assert export.kept_variants(variants | {}, {"a-fp16": float("nan")}, tmp_path).keys() == {"a-fp32", "a-int8"}


@pytest.mark.parametrize("factorised", [False, True])
def test_no_number_of_a_graph_comes_from_a_shape(factorised: bool) -> None:
    """A scale that comes of a shape is worked out on the host and copied to the card: CUDA then records no graph."""
    config = Config(model=ModelConfig(dim=32, depth=1, heads=2, detail=False))
    sizes = replace(config.model.encoder, factorised=factorised)
    graph = export.to_onnx(ServedNetwork(EcgNetwork(sizes, len(KEYS), detail=False)).eval())
    of_shapes: set[str] = set()
    for node in graph.graph.node:
        if node.op_type == "Shape" or of_shapes.intersection(node.input):
            assert node.op_type not in {"Sqrt", "Div", "Mul", "CastLike"}, node.name
            if node.op_type in {"Shape", "Gather", "Slice", "Squeeze", "Concat", "Cast"}:
                of_shapes.update(node.output)
    assert of_shapes
