"""Pretraining: ECG-JEPA on prepared windows, its target encoder following by EMA."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.signal.spec import SPEC
from training.config import Config
from training.data.augment import augment, crop, dice_of_rows
from training.data.dataset import PreparedSet, read_prepared
from training.data.windows import WindowStore
from training.pretraining.jepa import Jepa, jepa_loss
from training.pretraining.masking import draw_mask
from training.pretraining.probe import probe_auroc
from training.pretraining.start import start_as_published
from training.running.checkpoint import write_checkpoint
from training.running.device import resolve_device
from training.running.loop import Rows, train
from training.running.optim import adamw
from training.running.schedules import linear

ENCODER = "encoder.pt"


@dataclass
class PretrainTask:
    """ECG-JEPA as the loop sees it; keeps the encoder that probes best on the val split."""

    config: Config
    data: PreparedSet
    out: Path
    device: torch.device
    best: float = field(default=-1.0)

    def __post_init__(self) -> None:
        self.stage = self.config.pretrain
        torch.manual_seed(self.stage.seed)
        model = self.config.model
        self.network = Jepa(model.encoder, model.predictor, self.stage.drop_path)
        if self.stage.start == "published":
            start_as_published(self.network)
        self.network.to(self.device)
        self.optimizer = adamw(
            self.network.named_parameters(), rate=self.stage.rate, decay=self.stage.decay, beta2=self.stage.beta2
        )
        self.windows = WindowStore(self.data.windows, self.device)

    def loss(self, rows: Rows, random: np.random.Generator, progress: float) -> Tensor:  # noqa: ARG002
        """Smooth L1 between predicted and target representations of the patches that one mask hides."""
        dice = dice_of_rows(random, rows, self.stage)
        windows, start = crop(self.windows.take(rows), self.stage.crop_patches, random, dice)
        windows = augment(windows, self.stage, dice)
        hidden = draw_mask(self.stage.masking, windows.shape[-1] // SPEC.patch_samples, random)
        visible_at, hidden_at = (torch.from_numpy(np.flatnonzero(one)).to(self.device) for one in (~hidden, hidden))
        predicted, target = self.network(windows, visible_at, hidden_at, start)
        return jepa_loss(predicted, target)

    def after_step(self, progress: float) -> None:
        """Let the target encoder follow."""
        self.network.follow(linear(progress, self.stage.momentum_start, 1.0))

    def at_epoch(self) -> dict[str, float]:
        """Probe the encoder on the val split, and keep it if it is the best so far; without labels the last is kept."""
        if not (auroc := self._probe()) >= 0.0:
            self._keep()
            return {}
        if auroc > self.best:
            self.best = auroc
            self._keep()
        return {"probe_auroc": auroc}

    def _probe(self) -> float:
        records = self.stage.probe_records
        return probe_auroc(self.network.encoder, self.data, self.windows, records=records) if records else math.nan

    def state(self) -> dict[str, Any]:
        """Both encoders, predictor, optimiser, the best probe, and which data they are of."""
        state = {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(), "best": self.best}
        return state | {"data": self.data.identity}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up a state; ValueError if it is of other data."""
        self.data.require_identity(state.get("data"))
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best = state["best"]

    def _keep(self) -> None:
        state = self.network.encoder.state_dict()
        write_checkpoint(
            self.out / ENCODER, {"encoder": state, "probe_auroc": self.best, "sources": list(self.data.sources)}
        )


def run(config: Config, data: Path, out: Path, *, device: str = "auto") -> dict[str, object]:
    """Pretrain on the train split of a prepared folder.

    Args:
        config: of the run.
        data: a folder that `prepare` wrote.
        out: folder of the run; a checkpoint there is resumed.
        device: `auto`, or a device of torch.

    Returns:
        Where the encoder lies, and its probe; None where there was none.

    Raises:
        TrainingError: data or a checkpoint that cannot be used.
    """
    prepared = read_prepared(data)
    task = PretrainTask(config, prepared, out, resolve_device(device))
    train(task, prepared.window_rows("train"), config.pretrain, out, model=config.model)
    return {"encoder": str(out / ENCODER), "probe_auroc": task.best if task.best >= 0.0 else None}
