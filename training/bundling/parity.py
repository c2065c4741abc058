"""Parity: every variant of a bundle against torch on real windows, and the CroPA mask inside the masked graph."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from model.bundle import REFERENCE_VARIANT, Bundle, read_bundle
from model.engine import OnnxEngine
from model.nn.network import EcgNetwork
from model.signal.spec import SPEC
from training.data.cutting import cut_records
from training.data.dataset import is_prepared, read_prepared
from training.errors import TrainingError
from training.evaluation.metrics import auroc, macro
from training.evaluation.scoring import Selection, score
from training.running.state import read_trained
from training.sources import find_source, open_source

TOLERANCE = 1e-4
OPEN_KEYS = 57  # the other 49 patches of its lead, its moment in 7 other leads, and itself


def run(bundle: Path, data: Path, records: int = 200) -> dict[str, object]:
    """Compare every variant of a bundle with torch.

    Args:
        bundle: its folder.
        data: a prepared folder, or a database as published.
        records: how many records, spread over the data.

    Returns:
        Largest absolute difference of a logit by variant, how many windows were compared, and what each variant in
        fewer bits than fp32 loses of the macro AUROC on the val split.

    Raises:
        TrainingError: an fp32 variant further off than `TOLERANCE`, or a masked graph without its mask.
    """
    read = read_bundle(bundle)
    windows = torch.from_numpy(_windows(data, records))
    require_cropa_mask(read.folder / read.manifest.variants[REFERENCE_VARIANT].file)
    parity = measure_parity(bundle, read_trained(bundle).network(), windows)
    for name, worst in parity.items():
        if read.manifest.variants[name].precision == "fp32" and not worst <= TOLERANCE:
            raise TrainingError(f"{name} is {worst:.2e} from torch in a logit, wanted at most {TOLERANCE:.0e}")
    return {"parity": parity, "windows": len(windows), "auroc_lost": measure_losses(bundle, data)}


@torch.no_grad()
def measure_parity(folder: Path, network: EcgNetwork, windows: Tensor) -> dict[str, float]:
    """Largest absolute difference of a logit from torch, by variant; one window at a time and all as one batch."""
    bundle = read_bundle(folder)
    wanted = torch.cat([network(part)[0] for part in torch.split(windows, 32)]).numpy()
    parity = {}
    for name in bundle.manifest.variants:
        engine = OnnxEngine(bundle, variant=name, device="cpu")
        alone = np.concatenate([engine.run(part.numpy()).logits for part in torch.split(windows, 1)])
        together = np.concatenate([engine.run(part.numpy()).logits for part in torch.split(windows, 16)])
        parity[name] = float(max(np.abs(alone - wanted).max(), np.abs(together - wanted).max()))
    return parity


def measure_losses(folder: Path, data: Path) -> dict[str, float]:
    """What each variant in fewer bits than fp32 loses of the macro AUROC on the val split of labelled records.

    Returns:
        Loss by variant; empty where every variant is fp32. NaN where no statement has positives and negatives.
    """
    bundle = read_bundle(folder)
    smaller = [name for name, one in bundle.manifest.variants.items() if one.precision != "fp32"]
    if not smaller:
        return {}
    whole = _macro_auroc(bundle, REFERENCE_VARIANT, data)
    return {name: whole - _macro_auroc(bundle, name, data) for name in smaller}


def _macro_auroc(bundle: Bundle, variant: str, data: Path) -> float:
    """Mean AUROC of the statements that have positives and negatives among the val records."""
    scored = score(bundle, OnnxEngine(bundle, variant=variant, device="cpu"), Selection(data, "val"), batch_size=1)
    values = []
    for column in range(scored.logits.shape[1]):
        known = scored.labelled.labels[:, column] >= 0
        once = np.ones((1, int(known.sum())))
        values.append(auroc(scored.logits[known, column], scored.labelled.labels[known, column], once))
    return float(macro(np.array(values).T)[0])


def require_cropa_mask(graph: Path) -> None:
    """Raise TrainingError unless a masked graph holds one constant CroPA mask and takes no mask as input."""
    model = onnx.load(graph)
    if [one.name for one in model.graph.input] != ["ecg"]:
        raise TrainingError("the masked graph has inputs besides the ECG")
    square = [one for one in model.graph.initializer if len(one.dims) == 2 and one.dims[0] == one.dims[1] == 400]
    if len(square) != 1:
        raise TrainingError(f"the masked graph holds {len(square)} constant masks, wanted 1")
    mask = numpy_helper.to_array(square[0])
    open_keys = mask.sum(axis=1) if mask.dtype == bool else (mask > -1.0).sum(axis=1)
    if not (open_keys == OPEN_KEYS).all():
        raise TrainingError(f"the mask leaves {open_keys.min()} to {open_keys.max()} keys open, wanted {OPEN_KEYS}")


def _windows(data: Path, records: int) -> npt.NDArray[np.float32]:
    """Windows of records spread evenly over a prepared folder or a database."""
    if is_prepared(data):
        prepared = read_prepared(data)
        return prepared.windows[_spread(len(prepared.windows), records)].astype(np.float32)
    source = open_source(find_source(data), data)
    entries = [source.entries[row] for row in _spread(len(source.entries), records)]
    return np.concatenate([cut.windows for cut in cut_records(source, entries, SPEC, processes=1, purpose="score")])


def _spread(count: int, wanted: int) -> npt.NDArray[np.intp]:
    return np.unique(np.linspace(0, count - 1, wanted).astype(np.intp))
