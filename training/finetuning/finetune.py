"""Fine-tuning: the head first, then all layers at rates by depth, on labels that may be unknown."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from model.nn.network import DetailAlone, EcgNetwork
from model.signal.spec import SPEC
from training.config import Config
from training.data.augment import augment, crop, dice_of_rows
from training.data.dataset import PreparedSet, read_prepared, statement_of
from training.data.windows import WindowStore
from training.errors import TrainingError
from training.evaluation.metrics import auroc
from training.finetuning.objectives import OBJECTIVES
from training.running.checkpoint import write_checkpoint
from training.running.device import resolve_device
from training.running.loop import Rows, train
from training.running.optim import adamw, layerwise_scales
from training.running.state import Trained, read_encoder, read_sources, read_trained

NETWORK = "network.pt"
LAST_LAYER = "head.linear."
FIGURES = {"superclass": "super_auroc", "statement": "statement_auroc"}


@dataclass
class FinetuneTask:
    """Diagnosis as the loop sees it; keeps the averaged network that scores best on the val split."""

    config: Config
    data: PreparedSet
    keys: tuple[str, ...]
    out: Path
    device: torch.device
    best: float = field(default=-1.0)
    progress: float = field(default=0.0)
    learned_from: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        stage, model = self.config.finetune, self.config.model
        torch.manual_seed(stage.seed)
        self.stage = stage
        self.objective = OBJECTIVES[stage.protocol]
        self.network = EcgNetwork(model.encoder, len(self.keys), detail=model.paths, dropout=stage.dropout)
        self.network.to(self.device)
        scales = {"encoder.": stage.encoder_rate}
        scales |= {
            name: scale * stage.encoder_rate for name, scale in layerwise_scales(model.depth, stage.layer_decay).items()
        }
        self.optimizer = adamw(
            self.network.named_parameters(), rate=stage.rate, decay=stage.decay, beta2=stage.beta2, scales=scales
        )
        average = get_ema_multi_avg_fn(stage.averaging)  # type: ignore[no-untyped-call]
        self.averaged = AveragedModel(self.network, multi_avg_fn=average, use_buffers=True)
        self.windows = WindowStore(self.data.windows, self.device)
        self.labels = torch.from_numpy(self.data.labels_of(self.keys)[self.data.window_record])

    def start_from(self, encoder: dict[str, Tensor], sources: tuple[str, ...] = ()) -> None:
        """Take a pretrained encoder's weights, and remember the databases that it learned from."""
        self._take(self.network.encoder, encoder, "encoder")
        self.learned_from = sources

    def continue_from(self, trained: Trained) -> None:
        """Take a fine-tuned network's weights; a statement that is new to it starts at zero."""
        weights = dict(trained.weights)
        shared = [(row, trained.keys.index(key)) for row, key in enumerate(self.keys) if key in trained.keys]
        here, there = (list(rows) for rows in zip(*shared, strict=True)) if shared else ([], [])
        for name, start in self.network.head.linear.state_dict(prefix=LAST_LAYER).items():
            old = weights[name]
            weights[name] = start.new_zeros(len(self.keys), *old.shape[1:])
            weights[name][here] = old[there].to(start)
        self._take(self.network, weights, "network")
        self.learned_from = trained.sources

    def _take(self, module: nn.Module, weights: dict[str, Tensor], what: str) -> None:
        try:
            module.load_state_dict(weights)
        except RuntimeError as error:
            raise TrainingError(f"the {what} has other sizes than [model]: {str(error).splitlines()[-1]}") from None
        self.averaged.module.load_state_dict(self.network.state_dict())

    def loss(self, rows: Rows, random: np.random.Generator, progress: float) -> Tensor:
        """Cross-entropy over the known labels of augmented crops."""
        whole = progress >= 1.0 - self.stage.whole_windows
        patches = SPEC.patches if whole else self.stage.crop_patches
        dice = dice_of_rows(random, rows, self.stage)
        windows, start = crop(self.windows.take(rows), patches, random, dice)
        windows = augment(windows, self.stage, dice)
        self.network.encoder.requires_grad_(progress >= self.stage.frozen)
        if progress < self.stage.detail_alone:
            logits, _ = self.network.head(None, windows)
        else:
            logits, _ = self.network(windows, start)
        return self.objective.loss(logits, self.labels[torch.from_numpy(rows)].to(self.device))

    def after_step(self, progress: float) -> None:
        """Let the averaged weights follow."""
        self.progress = progress
        self.averaged.update_parameters(self.network)

    def at_epoch(self) -> dict[str, float]:
        """Score the averaged network on the val split, and keep it if it is the best so far."""
        if self.progress < self.stage.scored_from:
            return {}
        figures = self.score("val")
        score = float(np.mean(list(figures.values()))) if figures else 0.0
        if score >= self.best:
            self.best = score
            self._keep(figures)
        return figures

    def state(self) -> dict[str, Any]:
        """Network, averaged weights, optimiser, the best score, and which data they are of."""
        return {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "data": self.data.identity,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up a state; ValueError if it is of other data."""
        self.data.require_identity(state.get("data"))
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best = state["best"]

    def score(self, split: Any) -> dict[str, float]:
        """Macro AUROC of each group that has any, records of several windows by their mean logit."""
        records = self.data.rows(split)
        logits = predict_records(self._scored(), self.windows, self.data, records)
        labels = self.data.labels_of(self.keys)[records]
        usable = self.objective.usable(labels)
        scores = self.objective.scores(logits)
        by_key = _aurocs(scores[usable], labels[usable])
        defined = [
            (statement_of(key).group, one) for key, one in zip(self.keys, by_key, strict=True) if np.isfinite(one)
        ]
        return {
            figure: float(np.mean([one for group, one in defined if group == wanted]))
            for wanted, figure in FIGURES.items()
            if any(group == wanted for group, _ in defined)
        }

    def _scored(self) -> nn.Module:
        """The averaged network as it learns just now: while the detail path learns alone, it is scored alone."""
        averaged = self.averaged.module
        return DetailAlone(averaged.get_submodule("head")) if self.progress < self.stage.detail_alone else averaged

    def _keep(self, figures: dict[str, float]) -> None:
        state = {"network": self.averaged.module.state_dict(), "keys": list(self.keys)}
        sources = list(dict.fromkeys((*self.learned_from, *self.data.sources)))
        state |= {"config": asdict(self.config), "val": figures, "sources": sources}
        write_checkpoint(self.out / NETWORK, state)

    def weights(self) -> Rows:
        """What each window weighs in a mean loss: its known labels."""
        return self.objective.weights(self.labels.numpy())

    def rows(self) -> Rows:
        """The train windows that have something to teach."""
        labels = self.data.labels_of(self.keys)
        records = self.data.some_rows("train", self.stage.share, self.stage.share_seed)
        kept = np.zeros(len(labels), dtype=bool)
        kept[records] = self.objective.usable(labels[records]) if self.stage.protocol == "multi-class" else True
        return np.flatnonzero(kept[self.data.window_record])


def _aurocs(scores: npt.NDArray[np.floating], labels: npt.NDArray[np.int8]) -> list[float]:
    """AUROC of each statement over the records where it is known; NaN where that is one class."""
    return [
        float(auroc(score[known], label[known], np.ones((1, known.sum())))[0])
        for score, label, known in zip(scores.T, labels.T, (labels >= 0).T, strict=True)
    ]


@torch.no_grad()
def predict(
    network: nn.Module, windows: WindowStore, rows: npt.NDArray[np.integer], batch: int = 64
) -> npt.NDArray[np.float32]:
    """Logits (row, C) of some windows."""
    network.eval()
    parts = [network(windows.take(rows[at : at + batch]))[0].float().cpu() for at in range(0, len(rows), batch)]
    return torch.cat(parts).numpy()


def predict_records(
    network: nn.Module, windows: WindowStore, data: PreparedSet, records: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Logits (record, C) of some records, ascending; those of several windows by their mean."""
    rows = np.flatnonzero(np.isin(data.window_record, records))
    _, inverse = np.unique(data.window_record[rows], return_inverse=True)
    logits = predict(network, windows, rows)
    mean = np.zeros((len(records), logits.shape[1]))
    np.add.at(mean, inverse, logits)
    return np.asarray(mean / np.bincount(inverse)[:, None])


def run(
    config: Config, data: Path, out: Path, *, device: str = "auto", start: Path | None = None, whole: bool = False
) -> dict[str, object]:
    """Fine-tune on the train split of a prepared folder.

    Args:
        config: of the run.
        data: a folder that `prepare` wrote.
        out: folder of the run; a checkpoint there is resumed.
        device: `auto`, or a device of torch.
        start: an encoder's file to start from; from scratch without.
        whole: `start` is a fine-tuned network or a bundle, whose head is taken up too, statement by statement.

    Returns:
        Where the network lies, and its val figure.

    Raises:
        TrainingError: data or a checkpoint that cannot be used, or no statement with enough positives.
    """
    if whole and start is None:
        raise TrainingError("--whole continues a network; name it with --from")
    prepared = read_prepared(data)
    keys = prepared.trainable_keys(minimum=config.finetune.min_positives)
    if config.finetune.protocol == "multi-class":
        keys = tuple(key for key in keys if statement_of(key).group == "superclass")
    if not keys:
        raise TrainingError(f"no statement has {config.finetune.min_positives} positives in the train split")
    if not len(prepared.rows("val")):
        raise TrainingError(f"{data} has no record in the split val, by which the network is picked")
    task = FinetuneTask(config, prepared, keys, out, resolve_device(device))
    if start is not None and whole:
        task.continue_from(read_trained(start))
    elif start is not None:
        task.start_from(read_encoder(start), read_sources(start))
    train(task, task.rows(), config.finetune, out, weights=task.weights(), model=config.model)
    return {"network": str(out / NETWORK), "val": task.best}
