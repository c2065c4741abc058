"""Export: a trained network as a bundle, each variant an ONNX graph, all of them over one file of weights."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO

import onnx
import torch
from onnx.external_data_helper import set_external_data
from torch import Tensor

from model.bundle import Manifest, Output, Variant, file_sha256, write_manifest
from model.nn.network import ServedNetwork
from model.nn.waves import TwelveLeadHead
from model.reading.findings import Calibration
from model.signal.leads import STANDARD_LEADS
from model.signal.spec import SPEC
from training.config import Config
from training.credits import METHOD, credits_of
from training.dataset import PreparedSet, read_prepared, statement_of
from training.errors import TrainingError
from training.parity import measure_parity
from training.self_test import write_self_test
from training.state import Trained, read_trained

WEIGHTS = "weights.bin"
ATTENTION = {"masked-fp32": False, "factorised-fp32": True}
PARITY_RECORDS = 200


def run(config: Config, *, start: Path, data: Path, out: Path, waves: Path | None = None) -> dict[str, object]:
    """Write a bundle from a fine-tuned checkpoint.

    Args:
        config: name, version and variants of the bundle.
        start: the checkpoint, or a bundle to export anew.
        data: the prepared folder it was trained on; parity is measured on its val records.
        out: folder of the bundle; must not exist yet.
        waves: checkpoint of the wave head.

    Returns:
        The folder, and the parity of each variant.

    Raises:
        TrainingError: an unusable checkpoint, an unknown variant, an existing folder.
    """
    if out.exists():
        raise TrainingError(f"{out} exists already; remove it or choose another folder")
    trained, prepared = read_trained(start), read_prepared(data)
    head = read_wave_head(waves) if waves else None
    rows = prepared.window_rows("val")[:PARITY_RECORDS]
    windows = torch.from_numpy(prepared.windows[rows].astype("float32"))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as beside:
        folder = Path(beside)
        write_graphs(trained, config.export.variants, folder, head)
        manifest = build_manifest(config, trained, prepared, folder, waves=head is not None)
        test = write_self_test(ServedNetwork(trained.network(), head).eval(), manifest.spec, folder)
        manifest = replace(manifest, self_test=test)
        write_manifest(folder, manifest)
        parity = measure_parity(folder, trained.network(), windows)
        variants = {name: replace(one, parity=parity[name]) for name, one in manifest.variants.items()}
        write_manifest(folder, replace(manifest, variants=variants))
        folder.chmod(0o755)  # a temporary folder is its owner's alone
        shutil.copytree(folder, out)
    return {"bundle": str(out), "parity": parity}


def read_wave_head(path: Path) -> TwelveLeadHead:
    """The wave head of a checkpoint, ready for the graph."""
    from training.waves import read_head

    return TwelveLeadHead(read_head(path))


def write_graphs(trained: Trained, variants: Iterable[str], folder: Path, waves: TwelveLeadHead | None = None) -> None:
    """Each variant's graph, its weights in one shared file.

    Raises:
        TrainingError: an unknown variant.
    """
    models = {}
    for variant in variants:
        if variant not in ATTENTION:
            raise TrainingError(f"unknown variant {variant}; one of {', '.join(ATTENTION)}")
        network = ServedNetwork(trained.network(factorised=ATTENTION[variant]), waves).eval()
        models[variant] = to_onnx(network), network.state_dict()
    with (folder / WEIGHTS).open("wb") as file:
        at: dict[str, tuple[int, int]] = {}
        for variant, (model, weights) in models.items():
            _share_weights(model, weights, file, at)
            onnx.save(model, folder / f"{variant}.onnx")


def to_onnx(network: ServedNetwork) -> onnx.ModelProto:
    """The graph of a network: input `ecg` (batch, lead, sample), dynamic batch, constants as initializers."""
    example = torch.zeros(2, len(SPEC.leads), SPEC.samples)
    program = torch.onnx.export(
        network,
        (example,),
        input_names=["ecg"],
        output_names=list(network.output_names),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        optimize=False,  # keeps every weight under its name and as it was trained; onnxruntime folds at load
        verbose=False,
    )
    assert program is not None  # noqa: S101 - an ONNXProgram whenever dynamo is on
    model: onnx.ModelProto = program.model_proto
    for node in model.graph.node:  # the exporter's notes hold paths and source lines of whoever exports
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        value.ClearField("metadata_props")
    return model


def _share_weights(
    model: onnx.ModelProto, weights: dict[str, Tensor], file: BinaryIO, at: dict[str, tuple[int, int]]
) -> None:
    """Move the weights of a graph to a file that graphs share; what one graph alone has stays in it."""
    for tensor in model.graph.initializer:
        if tensor.name not in weights:
            continue
        raw = onnx.numpy_helper.to_array(tensor).tobytes()
        if tensor.name not in at:
            at[tensor.name] = (file.tell(), len(raw))
            file.write(raw)
        offset, length = at[tensor.name]
        set_external_data(tensor, WEIGHTS, offset=offset, length=length)
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL


def build_manifest(config: Config, trained: Trained, prepared: PreparedSet, folder: Path, *, waves: bool) -> Manifest:
    """What is known of a bundle before it is calibrated and scored."""
    credit = [credits_of(source) for source in (prepared.meta["source"], *(["ludb"] if waves else []))]
    return Manifest(
        name=config.export.name,
        version=config.export.version,
        spec=SPEC,
        spec_sha256=SPEC.sha256(),
        outputs=tuple(Output(statement_of(key), Calibration()) for key in trained.keys),
        thresholds_version="uncalibrated",
        variants={name: _variant(name, folder) for name in config.export.variants},
        wave_leads=STANDARD_LEADS if waves else (),
        metrics={"val": trained.val},
        data={name: prepared.meta[name] for name in ("source", "data_sha256", "split_sha256", "records")},
        training={"config": asdict(trained.config)},
        code_commit=code_commit(),
        licences=tuple(one.licence for one in credit),
        citations=(METHOD, *(citation for one in credit for citation in one.citations)),
    )


def _variant(name: str, folder: Path) -> Variant:
    attention, precision = name.split("-")
    files = (f"{name}.onnx", WEIGHTS)
    hashes = {file: file_sha256(folder / file) for file in files}
    return Variant(files[0], hashes, precision, attention)


def code_commit() -> str:
    """The commit that is checked out, or nothing outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return ""
    call = [git, "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    return subprocess.run(call, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
