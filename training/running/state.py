"""Trained weights wherever they lie: an encoder's file, a fine-tuned network's file, or a bundle."""

from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from model.bundle import MANIFEST, REFERENCE_VARIANT, Bundle, Manifest, read_bundle
from model.nn.config import EncoderConfig
from model.nn.network import EcgNetwork
from model.nn.published import part
from model.nn.waves import WaveHeadConfig, WaveNet
from training.config import Config
from training.config_file import parse_config
from training.errors import TrainingError
from training.running.checkpoint import read_checkpoint


@dataclass(frozen=True, eq=False)
class Trained:
    """A fine-tuned network as it lies on disk.

    Attributes:
        weights: state dict of an `EcgNetwork`.
        keys: its statements, in output order.
        config: of the run that made it.
        val: its figures on the val split.
        sources: databases that it learned from, its pretraining included.
    """

    weights: dict[str, Tensor]
    keys: tuple[str, ...]
    config: Config
    val: dict[str, float]
    sources: tuple[str, ...] = ()

    def network(self, *, factorised: bool = False) -> EcgNetwork:
        """The network in evaluation mode, in one of the two forms of attention."""
        sizes: EncoderConfig = replace(self.config.model.encoder, factorised=factorised)
        network = EcgNetwork(sizes, len(self.keys), detail=self.config.model.paths)
        network.load_state_dict(self.weights)
        return network.eval()


def read_trained(path: Path) -> Trained:
    """A fine-tuned network from its file or from a bundle's folder.

    Raises:
        TrainingError: neither of the two.
        BundleError: a bundle that is damaged.
    """
    if (path / MANIFEST).is_file():
        return _from_bundle(read_bundle(path))
    state = read_checkpoint(path)
    if "network" not in state or "keys" not in state:
        raise TrainingError(f"{path} holds no fine-tuned network")
    sources = tuple(state.get("sources", ()))
    return Trained(state["network"], tuple(state["keys"]), parse_config(state["config"]), state["val"], sources)


def read_encoder(path: Path) -> dict[str, Tensor]:
    """An encoder's weights from a pretrained, imported or fine-tuned file, or from a bundle's folder.

    Raises:
        TrainingError: none of these.
        BundleError: a bundle that is damaged.
    """
    if not (path / MANIFEST).is_file():
        state = read_checkpoint(path)
        if "encoder" in state:
            encoder: dict[str, Tensor] = state["encoder"]
            return encoder
    return part(read_trained(path).weights, "encoder")


def read_sources(path: Path) -> tuple[str, ...]:
    """The databases that an encoder, a network or a bundle learned from, as far as it says.

    Raises:
        TrainingError: none of these.
        BundleError: a bundle that is damaged.
    """
    if (path / MANIFEST).is_file():
        return sources_of(read_bundle(path).manifest)
    return tuple(read_checkpoint(path).get("sources", ()))


def sources_of(manifest: Manifest) -> tuple[str, ...]:
    """The databases that a bundle learned from; one of before this was written down names the last."""
    last = manifest.data.get("source")
    return tuple(manifest.data.get("learned_from", () if last is None else (last,)))


def read_wave_net(path: Path) -> WaveNet | None:
    """The wave head of a bundle's folder; None where there is none, as in a checkpoint of the diagnosis alone.

    Raises:
        BundleError: a bundle that is damaged.
    """
    if not (path / MANIFEST).is_file():
        return None
    found = part(bundle_weights(read_bundle(path)), "waves.net")
    if not found:
        return None
    net = WaveNet(_wave_shape(found))
    net.load_state_dict({name: found.get(name, value) for name, value in net.state_dict().items()})
    return net.eval()


def _wave_shape(weights: dict[str, Tensor]) -> WaveHeadConfig:
    """The shape of a wave head, read off its weights."""
    levels = sum(name.startswith("down.") and name.endswith(".conv.weight") for name in weights)
    stem, down = weights["stem.conv.weight"], [weights[f"down.{level}.conv.weight"] for level in range(levels)]
    return WaveHeadConfig(
        widths=tuple(one.shape[0] for one in (stem, *down)),
        kernel=weights["encode.0.first.conv.weight"].shape[-1],
        token_dim=weights["tokens.weight"].shape[1] if "tokens.weight" in weights else 0,
        folded="stem.norm.weight" not in weights,
    )


def bundle_weights(bundle: Bundle) -> dict[str, Tensor]:
    """Every initializer of the reference graph, under the names of the state dict."""
    graph = onnx.load(bundle.folder / bundle.manifest.variants[REFERENCE_VARIANT].file).graph
    return {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in graph.initializer}


def _from_bundle(bundle: Bundle) -> Trained:
    config = parse_config(bundle.manifest.training["config"])
    keys = tuple(statement.key for statement in bundle.statements)
    wanted = EcgNetwork(config.model.encoder, len(keys), detail=config.model.paths).state_dict()
    found = bundle_weights(bundle)
    found |= {name: value for name, value in wanted.items() if name.endswith("num_batches_tracked")}
    if missing := wanted.keys() - found.keys():
        raise TrainingError(f"the bundle's graph lacks {len(missing)} weights, such as {min(missing)}")
    weights, manifest = {name: found[name] for name in wanted}, bundle.manifest
    return Trained(weights, keys, config, manifest.metrics.get("val", {}), sources_of(manifest))
