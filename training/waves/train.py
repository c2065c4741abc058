"""Trains the wave head on marked records: all of them for the head that ships, four fifths for its figures."""

import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from model.nn.encoder import Encoder
from model.nn.waves import WaveHeadConfig, WaveNet, spread_tokens, token_mix
from model.signal.leads import MODEL_LEADS, STANDARD_LEADS
from model.signal.spec import SPEC
from training.config import Config, WavesConfig
from training.data.dataset import read_prepared
from training.errors import TrainingError
from training.running.checkpoint import read_checkpoint, write_checkpoint
from training.running.device import resolve_device
from training.running.loop import Rows, train
from training.running.optim import adamw
from training.running.state import read_trained
from training.sources.ludb import read_ludb
from training.waves.augment import Cut, change, cut
from training.waves.pacing import paced_records
from training.waves.rhythms import Rhythms, draw_rhythms, read_rhythms, taught
from training.waves.tachycardia import hurried_records
from training.waves.targets import UNKNOWN, WaveSet, build_wave_set

HEAD = "head.pt"
FOLDS = 5
_CUT_SAMPLES = 30 * SPEC.patch_samples
_FEW_LEADS_SHARE = 0.4  # of the batches: one to three leads, as recorders with few electrodes send them
_HURRIED_BPM = ((95.0, 125.0), (125.0, 170.0))  # a faster copy of each record in either range
_DISTANCE_WEIGHT = 0.5
_MEAN_MOMENTUM = 0.995
_TEACHER_FROM = 0.25  # share of the run after which the mean of the weights is worth learning from
_MODEL_ROWS = [STANDARD_LEADS.index(lead) for lead in MODEL_LEADS]


@dataclass(frozen=True, eq=False)
class Material:
    """What a head learns from, and where.

    Attributes:
        marked: records with marks.
        rhythms: unmarked records that the head teaches itself.
        encoder: frozen, whose tokens the head sees; None for a head without tokens.
        device: where head and encoder are; batches are made on the CPU.
        source: where some were made from others, which come first: the place of each one's source, (R,).
    """

    marked: WaveSet
    rhythms: Rhythms | None = None
    encoder: Encoder | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    source: npt.NDArray[np.intp] | None = None


class WaveTask:
    """Learns a wave head; the weights that count are their running mean.

    Args:
        material: what it learns from.
        settings: learning rate and seed.
    """

    def __init__(self, material: Material, settings: WavesConfig) -> None:
        torch.manual_seed(settings.seed)
        marked, encoder = material.marked, material.encoder
        self.device = material.device
        self._encoder = encoder.requires_grad_(False).to(self.device) if encoder else None
        self._rhythms = material.rhythms
        net = WaveNet(WaveHeadConfig(token_dim=encoder.config.dim if encoder else 0))
        net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._net, self._mean = net, copy.deepcopy(net).requires_grad_(False)
        self.network: nn.Module = nn.ModuleDict({"net": self._net, "mean": self._mean})
        self.optimizer: torch.optim.Optimizer = adamw(
            self._net.named_parameters(), rate=settings.rate, decay=settings.decay
        )
        self._marked = Cut(*(torch.from_numpy(part) for part in (marked.ecg, marked.label, marked.distance_s)))
        self._steps = torch.zeros((), dtype=torch.int64)
        self.network.register_buffer("steps", self._steps)  # so that a resumed mean goes on at its pace

    @property
    def head(self) -> WaveNet:
        """The head as it is to be used."""
        return self._mean.eval()

    def loss(self, rows: Rows, random: np.random.Generator, progress: float) -> Tensor:
        """Cross entropy of the class, and L1 of the distance where a boundary is near."""
        own_dice = np.random.default_rng([int(random.integers(2**62)), int(rows[0])])  # parts of a batch draw their own
        draw = torch.Generator().manual_seed(int(own_dice.integers(2**62)))
        own = self._rhythms is not None and progress > _TEACHER_FROM and bool(torch.rand((), generator=draw) < 0.5)
        piece = self._self_taught(len(rows), draw) if own else cut(self._picked(rows, draw), _CUT_SAMPLES, draw)
        batch = self._here(change(piece, draw))
        logits, distance = self._net(batch.ecg, self._tokens(batch.ecg, draw))
        return wave_loss(logits, distance, batch)

    def after_step(self, progress: float) -> None:
        """Move the mean towards the weights, fast at first."""
        del progress
        self._steps += 1
        steps = int(self._steps)
        momentum = min(_MEAN_MOMENTUM, steps / (steps + 10))
        with torch.no_grad():
            moving = self._net.state_dict()
            for name, value in self._mean.state_dict().items():
                value.copy_(value.lerp(moving[name], 1.0 - momentum) if value.is_floating_point() else moving[name])

    def at_epoch(self) -> dict[str, float]:
        """Nothing is measured on the way."""
        return {}

    def state(self) -> dict[str, Any]:
        """Weights, their mean and how often it moved, and the optimiser."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _picked(self, rows: Rows, draw: Generator) -> Cut:
        """The records of some rows: all leads, or a few leads of each, more often."""
        whole = self._marked
        records = torch.from_numpy(rows)
        leads = len(STANDARD_LEADS)
        if torch.rand((), generator=draw) < _FEW_LEADS_SHARE:
            leads = int(torch.randint(1, 4, (), generator=draw))
            records = records.repeat(6 if leads < 3 else 4)
        rank = torch.rand(len(records), len(STANDARD_LEADS), generator=draw).argsort(dim=1)[:, :leads]
        chosen = rank if leads < len(STANDARD_LEADS) else torch.arange(leads).expand(len(records), -1)
        at = (records[:, None], chosen)
        return Cut(whole.ecg[at], whole.label[at], whole.distance[at].transpose(1, 2))

    def _self_taught(self, count: int, draw: Generator) -> Cut:
        """Unmarked records with what the mean of the weights is sure of."""
        if self._rhythms is None:
            raise ValueError("there are no unmarked records")
        whole, without_p = draw_rhythms(self._rhythms, count, draw)
        piece = self._here(cut(whole, _CUT_SAMPLES, draw))
        with torch.no_grad():
            logits, distance = self._mean.eval()(piece.ecg, self._tokens(piece.ecg, draw))
        marked = taught(piece, logits, distance, without_p.to(self.device))
        return Cut(marked.ecg.cpu(), marked.label.cpu(), marked.distance.cpu())

    def _here(self, piece: Cut) -> Cut:
        return Cut(*(part.to(self.device) for part in (piece.ecg, piece.label, piece.distance)))

    def _tokens(self, ecg: Tensor, draw: Generator) -> Tensor | None:
        """What the encoder says of twelve leads; nothing for fewer, so that the head learns to do without."""
        if self._encoder is None or ecg.shape[1] < len(STANDARD_LEADS):
            return None
        start = int(torch.randint(0, SPEC.patches - ecg.shape[2] // SPEC.patch_samples + 1, (), generator=draw))
        with torch.no_grad():
            tokens: Tensor = self._encoder(ecg[:, _MODEL_ROWS], start=start)
        return spread_tokens(tokens, token_mix().to(self.device))


def wave_loss(logits: Tensor, distance: Tensor, batch: Cut) -> Tensor:
    """Loss over the frames whose truth is known.

    Args:
        logits: (B, class, L, frame).
        distance: (B, 2, L, frame).
        batch: what is true.
    """
    known = batch.label != UNKNOWN
    of_class = F.cross_entropy(logits, torch.where(known, batch.label, -100), reduction="sum")
    of_class = of_class / known.sum().clamp(min=1)
    near = known.unsqueeze(1) & (batch.distance.abs() <= 1.0)
    of_distance = ((distance - batch.distance).abs() * near).sum() / near.sum().clamp(min=1)
    return of_class + _DISTANCE_WEIGHT * of_distance


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
