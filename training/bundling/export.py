"""Export: a trained network as a bundle, each variant an ONNX graph, all of them over one file of weights."""

import logging
import shutil
import subprocess
import warnings
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO

import onnx
import torch
from onnx.external_data_helper import set_external_data
from torch import Tensor

from model.bundle import MANIFEST, Manifest, Output, Variant, WaveGraph, file_sha256, write_manifest
from model.nn.network import ServedNetwork
from model.nn.waves import WAVE_OUTPUTS, AnyLeadHead, TwelveLeadHead, folded
from model.reading.findings import Calibration
from model.signal.leads import STANDARD_LEADS
from model.signal.spec import SPEC
from training.bundling.credits import METHOD, credits_of
from training.bundling.parity import measure_losses, measure_parity
from training.bundling.precision import PRECISIONS
from training.bundling.self_test import write_self_test
from training.config import Config, WavesConfig
from training.data.dataset import PreparedSet, read_prepared, statement_of
from training.data.whole_folder import whole_folder
from training.errors import TrainingError
from training.evaluation.calibrate import UNCALIBRATED
from training.running.state import Trained, read_trained, read_wave_net

_log = logging.getLogger(__name__)

WEIGHTS = "weights.bin"
WAVE_GRAPH = "waves.onnx"
ATTENTION = ("masked", "factorised")
PARITY_RECORDS = 200
MOST_LOST = 0.002
"""Macro AUROC on val that a variant in fewer bits may lose; one that loses more does not ship."""


def run(config: Config, *, start: Path, data: Path, out: Path, waves: Path | None = None) -> dict[str, object]:
    """Write a bundle from a fine-tuned checkpoint.

    Args:
        config: name, version and variants of the bundle; with the checkpoint of a wave head also how that was trained,
            for the manifest.
        start: the checkpoint, or a bundle to export anew.
        data: the prepared folder it was trained on; parity is measured on its val records.
        out: folder of the bundle; must not exist yet.
        waves: checkpoint of the wave head, or a bundle that has one; without it a bundle that is exported anew keeps
            its own.

    Returns:
        The folder, and the parity of each variant.

    Raises:
        TrainingError: an unusable checkpoint, an unknown variant, an existing folder, no val record.
    """
    trained, prepared = read_trained(start), read_prepared(data)
    head = read_wave_head(start, waves)
    if waves is not None:
        trained = replace(trained, config=replace(trained.config, waves=_wave_settings(config, waves)))
    rows = prepared.window_rows("val")[:PARITY_RECORDS]
    if not len(rows):
        raise TrainingError(f"{data} has no record in the split val, on which a bundle is measured")
    windows = torch.from_numpy(prepared.windows[rows].astype("float32"))
    with whole_folder(out) as folder:
        write_graphs(trained, config.export.variants, folder, head)
        manifest = build_manifest(config, trained, prepared, folder, waves=head is not None)
        test = write_self_test(ServedNetwork(trained.network(), head).eval(), manifest.spec, folder)
        manifest = replace(manifest, self_test=test, wave_graph=write_wave_graph(head, folder) if head else None)
        write_manifest(folder, manifest)
        parity = measure_parity(folder, trained.network(), windows)
        variants = {name: replace(one, parity=parity[name]) for name, one in manifest.variants.items()}
        losses = measure_losses(folder, data)
        write_manifest(folder, replace(manifest, variants=kept_variants(variants, losses, folder)))
    return {"bundle": str(out), "parity": parity, "auroc_lost": losses}


def kept_variants(variants: dict[str, Variant], losses: dict[str, float], folder: Path) -> dict[str, Variant]:
    """The variants that lose little enough, each with its loss; the graphs of the others are removed."""
    kept = {}
    for name, variant in variants.items():
        loss = losses.get(name)
        if loss is None:
            kept[name] = variant
        elif loss <= MOST_LOST:
            kept[name] = replace(variant, metrics={"auroc_lost": loss})
        else:
            _log.warning("%s loses %.4f of the macro AUROC, more than %g, and does not ship", name, loss, MOST_LOST)
            (folder / variant.file).unlink()
    return kept


def read_wave_head(start: Path, waves: Path | None) -> TwelveLeadHead | None:
    """The wave head of its own checkpoint or bundle, else of the bundle that is exported anew; None without either."""
    from training.waves.train import read_head

    net = read_wave_net(waves or start)
    if net is None and waves is not None:
        net = read_head(waves)
    return TwelveLeadHead(net) if net else None


def _wave_settings(config: Config, waves: Path) -> WavesConfig:
    """How a wave head was trained: a bundle says it of its own, a checkpoint's are those of the command."""
    return read_trained(waves).config.waves if (waves / MANIFEST).is_file() else config.waves


def write_graphs(trained: Trained, variants: Iterable[str], folder: Path, waves: TwelveLeadHead | None = None) -> None:
    """Each variant's graph, its weights in one shared file.

    Raises:
        TrainingError: an unknown variant.
    """
    whole: dict[str, tuple[onnx.ModelProto, dict[str, Tensor]]] = {}
    models = {}
    for variant in variants:
        attention, precision = _parts(variant)
        if attention not in whole:
            network = ServedNetwork(trained.network(factorised=attention == "factorised"), waves).eval()
            whole[attention] = to_onnx(network), network.state_dict()
        graph, weights = whole[attention]
        models[variant] = PRECISIONS[precision](graph), weights
    with (folder / WEIGHTS).open("wb") as file:
        at: dict[str, tuple[int, int]] = {}
        for variant, (model, weights) in models.items():
            _share_weights(model, weights, file, at)
            onnx.save(model, folder / f"{variant}.onnx")


def write_wave_graph(head: TwelveLeadHead, folder: Path) -> WaveGraph:
    """The wave head as a graph for any leads, with weights of its own: it is small, and read alone."""
    network = AnyLeadHead(folded(head.net)).eval()
    dynamic = {0: torch.export.Dim("batch"), 1: torch.export.Dim("lead")}
    onnx.save(_graph(network, torch.zeros(2, 2, SPEC.samples), WAVE_OUTPUTS, dynamic), folder / WAVE_GRAPH)
    return WaveGraph(WAVE_GRAPH, file_sha256(folder / WAVE_GRAPH))


def _parts(variant: str) -> tuple[str, str]:
    """Attention and precision of a variant; raises TrainingError where it has no such name."""
    attention, _, precision = variant.partition("-")
    if attention not in ATTENTION or precision not in PRECISIONS:
        known = ", ".join(f"{one}-{bits}" for one in ATTENTION for bits in PRECISIONS)
        raise TrainingError(f"unknown variant {variant}; one of {known}")
    return attention, precision


def to_onnx(network: ServedNetwork) -> onnx.ModelProto:
    """The graph of a network: input `ecg` (batch, lead, sample), dynamic batch, constants as initializers."""
    example = torch.zeros(2, len(SPEC.leads), SPEC.samples)
    return _graph(network, example, network.output_names, {0: torch.export.Dim("batch")})


def _graph(
    network: torch.nn.Module, example: Tensor, outputs: Iterable[str], dynamic: dict[int, torch.export.Dim]
) -> onnx.ModelProto:
    with warnings.catch_warnings(category=FutureWarning, action="ignore"):  # the exporter warns of itself
        program = torch.onnx.export(
            network,
            (example,),
            input_names=["ecg"],
            output_names=list(outputs),
            dynamic_shapes=(dynamic,),
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
        raw = onnx.numpy_helper.to_array(tensor).tobytes()
        if tensor.name not in weights or raw != weights[tensor.name].numpy().tobytes():
            continue  # a constant, or a weight in other bits
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
    learned_from = tuple(dict.fromkeys((*trained.sources, *prepared.sources)))
    credit = [credits_of(source) for source in dict.fromkeys((*learned_from, *(["ludb"] if waves else [])))]
    data = {name: prepared.meta[name] for name in ("source", "data_sha256", "split_sha256", "records")}
    return Manifest(
        name=config.export.name,
        version=config.export.version,
        spec=SPEC,
        spec_sha256=SPEC.sha256(),
        outputs=tuple(Output(statement_of(key), Calibration()) for key in trained.keys),
        thresholds_version=UNCALIBRATED,
        variants={name: variant_of(name, folder) for name in config.export.variants},
        wave_leads=STANDARD_LEADS if waves else (),
        metrics={"val": trained.val},
        data=data | {"learned_from": learned_from, "sampling_hz": prepared.meta.get("sampling_hz", {})},
        training={"config": asdict(trained.config)},
        code_commit=code_commit(),
        licences=tuple(one.licence for one in credit),
        citations=(METHOD, *(citation for one in credit for citation in one.citations)),
    )


def variant_of(name: str, folder: Path) -> Variant:
    """What the manifest says of a graph in the folder; raises TrainingError where there is no such variant."""
    attention, precision = _parts(name)
    graph = onnx.load(folder / f"{name}.onnx", load_external_data=False).graph
    shares = any(one.data_location == onnx.TensorProto.EXTERNAL for one in graph.initializer)
    files = (f"{name}.onnx", *([WEIGHTS] if shares else []))
    hashes = {file: file_sha256(folder / file) for file in files}
    return Variant(files[0], hashes, precision, attention)


def code_commit() -> str:
    """The commit that is checked out, or nothing outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return ""
    call = [git, "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    return subprocess.run(call, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
