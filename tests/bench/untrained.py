"""A bundle of another size whose encoder has random weights: what it costs does not hang on what it has learned.

Its waves are real where it is lent a trained wave head that reads the signal and not the encoder's tokens. How long an
answer takes to measure and to write hangs on the waves that are found, and a random head finds none that a heart makes.
"""

from dataclasses import asdict
from pathlib import Path

VARIANT = "factorised-fp32"
INT8 = "factorised-int8"
VARIANTS = ("masked-fp32", VARIANT, INT8)
SEED = 0
NOTHING_FOUND = 1.0
"""A threshold. At the usual one a random network finds much at once, and an answer warns of each contradiction."""


def write_untrained(
    folder: Path, size: str = "tiny", names: tuple[str, ...] = VARIANTS, *, waves: Path | None = None
) -> Path:
    """Write the bundle to a folder that is not there yet.

    Args:
        folder: of the bundle.
        size: a configuration of training.
        names: variants.
        waves: a bundle that lends its wave head; without one, or where it has none but for its own encoder's tokens,
            what is written has no waves.

    Raises:
        ImportError: torch is not installed.
    """
    import torch

    from model.bundle import Manifest, Output, write_manifest
    from model.nn.network import EcgNetwork
    from model.nn.waves import TwelveLeadHead
    from model.reading.findings import Calibration
    from model.reading.statements import VOCABULARY
    from model.signal.leads import STANDARD_LEADS
    from model.signal.spec import SPEC
    from training.bundling.export import variant_of, write_graphs
    from training.config_file import read_config
    from training.running.state import Trained, read_wave_net

    net = read_wave_net(waves) if waves else None
    head = TwelveLeadHead(net) if net and net.tokens is None else None
    torch.manual_seed(SEED)
    config = read_config(size)
    keys = tuple(VOCABULARY)
    network = EcgNetwork(config.model.encoder, len(keys), detail=config.model.detail)
    folder.mkdir()
    write_graphs(Trained(network.state_dict(), keys, config, {}), names, folder, head)
    manifest = Manifest(
        name=f"{size}-untrained",
        version="0",
        spec=SPEC,
        spec_sha256=SPEC.sha256(),
        outputs=tuple(Output(VOCABULARY[key], Calibration(threshold=NOTHING_FOUND)) for key in keys),
        thresholds_version="none",
        variants={name: variant_of(name, folder) for name in names},
        wave_leads=STANDARD_LEADS if head else (),
        training={"config": asdict(config)},
    )
    write_manifest(folder, manifest)
    return folder
