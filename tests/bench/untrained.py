"""A bundle of the size `tiny` whose weights are random: what a network costs does not hang on what it has learned."""

from dataclasses import asdict
from pathlib import Path

VARIANT = "factorised-fp32"
INT8 = "factorised-int8"
VARIANTS = ("masked-fp32", VARIANT, INT8)
SEED = 0


def write_untrained(folder: Path, size: str = "tiny", names: tuple[str, ...] = VARIANTS) -> Path:
    """Write the bundle to a folder that is not there yet; it has no wave head.

    Raises:
        ImportError: torch is not installed.
    """
    import torch

    from model.bundle import Manifest, Output, write_manifest
    from model.nn.network import EcgNetwork
    from model.reading.findings import Calibration
    from model.reading.statements import VOCABULARY
    from model.signal.spec import SPEC
    from training.bundling.export import variant_of, write_graphs
    from training.config_file import read_config
    from training.running.state import Trained

    torch.manual_seed(SEED)
    config = read_config(size)
    keys = tuple(VOCABULARY)
    network = EcgNetwork(config.model.encoder, len(keys), detail=config.model.detail)
    folder.mkdir()
    write_graphs(Trained(network.state_dict(), keys, config, {}), names, folder)
    manifest = Manifest(
        name=f"{size}-untrained",
        version="0",
        spec=SPEC,
        spec_sha256=SPEC.sha256(),
        outputs=tuple(Output(VOCABULARY[key], Calibration()) for key in keys),
        thresholds_version="none",
        variants={name: variant_of(name, folder) for name in names},
        training={"config": asdict(config)},
    )
    write_manifest(folder, manifest)
    return folder
