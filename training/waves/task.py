"""How the wave head learns: from marked records, and from unmarked ones by what its own mean is sure of."""

import copy
from dataclasses import dataclass, field
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
from training.config import WavesConfig
from training.running.loop import Rows
from training.running.optim import adamw
from training.waves.augment import Cut, change, cut
from training.waves.rhythms import Rhythms, draw_rhythms, taught
from training.waves.targets import UNKNOWN, WaveSet

_CUT_SAMPLES = 30 * SPEC.patch_samples
_FEW_LEADS_SHARE = 0.4  # of the batches: one to three leads, as recorders with few electrodes send them
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
            self._net.named_parameters(), rate=settings.rate, decay=settings.decay, beta2=settings.beta2
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
