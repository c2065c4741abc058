"""The self-test of a bundle: simulated windows with torch's answers, by which a machine proves that it computes."""

from pathlib import Path

import numpy as np
import torch

from model.bundle import SelfTest, file_sha256
from model.nn.network import ServedNetwork
from model.signal.preprocess import preprocess
from model.signal.spec import InputSpec
from training.sources.simulated import Kind, simulate

FILE = "self_test.npz"
HEARTS: tuple[Kind, ...] = ("normal", "fibrillation", "left_bundle")


@torch.no_grad()
def write_self_test(network: ServedNetwork, spec: InputSpec, folder: Path) -> SelfTest:
    """Windows of simulated hearts and every output for them; in half precision, so that they stay small."""
    cuts = [preprocess(simulate(seed, kind).recording, spec).signal_mv for seed, kind in enumerate(HEARTS)]
    windows = np.concatenate(cuts).astype(np.float16)
    answers = network(torch.from_numpy(windows.astype(np.float32)))
    arrays = {name: value.numpy() for name, value in zip(network.output_names, answers, strict=True)}
    np.savez_compressed(folder / FILE, windows=windows, **arrays)
    return SelfTest(FILE, file_sha256(folder / FILE))
