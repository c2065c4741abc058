"""Trains the wave head on marked records: all of them for the head that ships, four fifths for its figures."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from model.nn.waves import WaveHeadConfig, WaveNet
from training.config import Config, WavesConfig
from training.data.dataset import read_prepared
from training.errors import TrainingError
from training.running.checkpoint import read_checkpoint, write_checkpoint
from training.running.device import resolve_device
from training.running.loop import Rows, train
from training.running.state import read_trained
from training.sources.ludb import read_ludb
from training.waves.pacing import paced_records
from training.waves.rhythms import read_rhythms
from training.waves.tachycardia import hurried_records
from training.waves.targets import build_wave_set
from training.waves.task import Material, WaveTask

HEAD = "head.pt"
FOLDS = 5
_HURRIED_BPM = ((95.0, 125.0), (125.0, 170.0))  # a faster copy of each record in either range


def run(
    config: Config,
    data: Path,
    *,
    out: Path,
    start: Path | None = None,
    rhythms: Path | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Train the wave head on LUDB; `out/head.pt` is the head, on all records, and `out/fold-N/head.pt` its proofs.

    Args:
        config: section `waves`; with `cross_validate` five more heads are trained, each without a fifth.
        data: LUDB.
        out: folder for checkpoints and logs; a run there is resumed.
        start: fine-tuned checkpoint or bundle whose encoder's tokens the head sees; a head of its own without.
        rhythms: prepared folder with records in fibrillation and in sinus rhythm, whose waves nobody marked.
        device: auto, cpu or cuda.

    Returns:
        How many records it learnt from, and the folds.

    Raises:
        TrainingError: no LUDB, or an unusable checkpoint.
    """
    try:
        records = list(read_ludb(data))
    except FileNotFoundError as error:
        raise TrainingError(f"{data}: {error}") from None
    made = [*hurried_records(records, _HURRIED_BPM, config.waves.seed), *paced_records(records, config.waves.seed)]
    material = Material(
        marked=build_wave_set([*records, *(one for _, one in made)]),
        source=np.array([*range(len(records)), *(at for at, _ in made)]),
        rhythms=read_rhythms(read_prepared(rhythms)) if rhythms else None,
        encoder=read_trained(start).network(factorised=True).encoder if start else None,
        device=resolve_device(device),
    )
    if config.waves.cross_validate:
        for fold, (rows, _) in enumerate(folds(len(records))):
            train_head(material, rows, config.waves, fold_folder(out, fold))
    train_head(material, np.arange(len(records)), config.waves, out)
    return {"records": len(records), "folds": FOLDS if config.waves.cross_validate else 0}


def train_head(material: Material, rows: Rows, settings: WavesConfig, out: Path) -> WaveNet:
    """Train on some of the records and what was made of them, resuming from `out`; the head goes to `out/head.pt`.

    Records are seen twice for each one made of them, and those without any P twice as often: fibrillation is rare, and
    a P there is the worst mistake.
    """
    task = WaveTask(material, settings)
    without_p = rows[~(material.marked.label[rows] == 1).any(axis=(1, 2))]
    train(task, np.concatenate([*[rows, without_p] * 2, _made_of(material, rows)]), settings, out)
    write_checkpoint(out / HEAD, {"config": asdict(task.head.config), "state": task.head.state_dict()})
    return task.head


def _made_of(material: Material, rows: Rows) -> Rows:
    """The records that were made from some of the others."""
    if material.source is None:
        return rows[:0]
    made = np.arange(len(material.source)) != material.source
    return np.flatnonzero(made & np.isin(material.source, rows))


def read_head(path: Path) -> WaveNet:
    """A head that `train_head` wrote.

    Raises:
        TrainingError: there is none, or it is none.
    """
    stored = read_checkpoint(path)
    try:
        net = WaveNet(WaveHeadConfig(**stored["config"]))
        net.load_state_dict(stored["state"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise TrainingError(f"{path.name} is not a wave head: {type(error).__name__}") from error
    return net.eval()


def fold_folder(out: Path, fold: int) -> Path:
    """Where the head lies that was trained without a fold."""
    return out / f"fold-{fold}"


def folds(records: int, seed: int = 0) -> Iterator[tuple[Rows, Rows]]:
    """Rows to train on and rows kept back, five times, every record kept back once; a record is a patient."""
    order = np.random.default_rng(seed).permutation(records)
    for fold in range(FOLDS):
        kept = order[fold::FOLDS]
        yield np.setdiff1d(order, kept), kept
