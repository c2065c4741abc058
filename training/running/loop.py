"""The one training loop: progress, precision, accumulation, data parallelism, checkpoints, resume and the log."""

import json
import math
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from tqdm import tqdm

from training.config import LoopConfig, ModelConfig
from training.errors import TrainingError
from training.running.checkpoint import read_checkpoint, write_checkpoint
from training.running.optim import set_rate
from training.running.parallel import from_first, process_group, rank, sum_gradients, sum_over_processes, world_size
from training.running.schedules import warmup_cosine
from training.running.settings import require_settings, settings_of
from training.running.throughput import flops_of, peak_flops

Rows = npt.NDArray[np.int64]

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
COUNTED = 2  # windows whose operations are counted


class Task(Protocol):
    """What a stage brings to the loop."""

    device: torch.device

    @property
    def network(self) -> nn.Module:
        """What trains."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """With a `base` rate in each group."""

    def loss(self, rows: Rows, random: np.random.Generator, progress: float) -> Tensor:
        """Mean loss of some rows of a batch; everything random is drawn from `random`, alike in all parts of it."""

    def after_step(self, progress: float) -> None:
        """Called once after every optimiser step."""

    def at_epoch(self) -> dict[str, float]:
        """Called in the first process every `look_every` passes, and at the end; the answer is logged."""

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs besides the step."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up a state."""


def train(
    task: Task,
    rows: Rows,
    config: LoopConfig,
    out: Path,
    *,
    weights: Rows | None = None,
    model: ModelConfig | None = None,
) -> None:
    """Run a task to its end, resuming from the checkpoint in `out` where there is one.

    A batch has the gradient of its mean loss however many processes and parts it is spread over: each part's mean
    counts by the `weights` of its rows, which are indices into it, such as their known labels; by their number without.

    A checkpoint of a run with other options, in `config` or in the network's `model`, is refused, but for those of
    `training.running.settings` that leave a run what it is, or change it in a way that is logged.

    Batches and random draws depend on the seed and the step alone, so that a resumed run continues bit for bit on the
    CPU; a run with `minutes` follows the clock and does not. SIGTERM to any of the processes ends it after a step, with
    a checkpoint.

    Raises:
        TrainingError: a checkpoint that cannot be read or written, a batch larger than the data or smaller than its
            parts, a loss that is no number, or the run was asked to end before its end.
    """
    if len(rows) < config.batch_size:
        raise TrainingError(f"a batch of {config.batch_size} does not fit {len(rows)} training windows")
    with process_group(task.device), _ending() as asked:
        if (parts := config.accumulation * world_size()) > config.batch_size:
            raise TrainingError(f"a batch of {config.batch_size} cannot be split into {parts} parts")
        _Run(task, rows, config, out, weights, settings_of(config, model)).to_its_end(asked)


@dataclass
class _Run:
    """A run between its start and its end."""

    task: Task
    rows: Rows
    config: LoopConfig
    out: Path
    weights: Rows | None
    settings: dict[str, object]
    step: int = 0
    before_s: float = 0.0
    losses: list[float] = field(default_factory=list)
    order: tuple[int, Rows] = (-1, np.empty(0, np.int64))

    def to_its_end(self, asked: list[int]) -> None:
        self._resume()
        if self.config.compile and self.task.device.type != "cpu":
            self.task.network.compile()
        self.peak = peak_flops(self.task.device, self.config.precision) * world_size() if rank() == 0 else 0.0
        self.started_s = self.saved_s = self.logged_s = time.monotonic()
        self.first = self.logged = self.step
        progress, ending = self._progress(), self._agreed(asked)
        with tqdm(total=self.steps, initial=self.step, unit="step", disable=rank() > 0) as bar:
            while progress < 1.0 and not ending:
                self.losses.append(self._optimise(progress))
                self.step += 1
                bar.update()
                progress, ending = self._progress(), self._agreed(asked)
                if self.step % (self.per_epoch * self.config.look_every) == 0 or progress >= 1.0:
                    bar.set_postfix(loss=f"{self._log(progress):.4f}")
                if ending or progress >= 1.0 or time.monotonic() - self.saved_s > 60 * self.config.checkpoint_minutes:
                    self._save()
        if ending:
            raise TrainingError(f"asked to end after step {self.step}; the same command goes on from there")

    @property
    def per_epoch(self) -> int:
        return max(1, len(self.rows) // self.config.batch_size)

    @property
    def steps(self) -> int:
        return max(1, round(self.config.epochs * self.per_epoch))

    def _elapsed_s(self) -> float:
        return self.before_s + time.monotonic() - self.started_s

    def _progress(self) -> float:
        """Share of the run that is done, by steps or by the clock, whichever is further along."""
        by_steps = self.step / self.steps
        if not self.config.minutes:
            return min(1.0, by_steps)
        return min(1.0, max(by_steps, from_first(self._elapsed_s() / (60 * self.config.minutes))))

    def _agreed(self, asked: list[int]) -> bool:
        """Whether any process was asked to end: all end after the same step, or one would wait for the other."""
        return sum_over_processes(float(bool(asked))) > 0.0

    def _optimise(self, progress: float) -> float:
        """One optimiser step over this process's share of a batch; returns the mean loss over all processes."""
        set_rate(self.task.optimizer, warmup_cosine(progress, warmup=self.config.warmup, floor=self.config.floor))
        self.task.network.train()
        self.task.optimizer.zero_grad(set_to_none=True)
        batch = self._batch()
        total = torch.zeros((), device=self.task.device)
        for number, part in enumerate(np.array_split(batch[rank() :: world_size()], self.config.accumulation)):
            random = np.random.default_rng([self.config.seed, 2, self.step])
            torch.manual_seed(_torch_seed(self.config.seed, 3, self.step, number, rank()))  # what dropout draws from
            with _autocast(self.task.device, self.config.precision):
                loss = self.task.loss(part, random, progress) * self._weight(part) / max(1, self._weight(batch))
            torch.autograd.backward(loss)
            total += loss.detach()
        mean = sum_over_processes(float(total))  # the one look at the device in a step: here the host waits for it
        if not math.isfinite(mean):
            raise TrainingError(f"the loss of step {self.step + 1} is {mean}; a lower rate may help")
        sum_gradients(_parameters(self.task.optimizer))
        if self.config.clip:
            nn.utils.clip_grad_norm_(_parameters(self.task.optimizer), self.config.clip)
        self.task.optimizer.step()
        self.task.after_step(progress)
        return mean

    def _batch(self) -> Rows:
        """Rows of this step, from the epoch's own permutation."""
        epoch, within = divmod(self.step, self.per_epoch)
        if epoch != self.order[0]:
            self.order = epoch, np.random.default_rng([self.config.seed, 1, epoch]).permutation(self.rows)
        return self.order[1][within * self.config.batch_size : (within + 1) * self.config.batch_size]

    def _weight(self, rows: Rows) -> int:
        """What some rows weigh in the mean loss of a batch."""
        return len(rows) if self.weights is None else int(self.weights[rows].sum())

    def _log(self, progress: float) -> float:
        """Append a line on the steps since the last one; returns their mean loss."""
        loss = float(np.mean(self.losses))
        self.losses.clear()
        if rank() == 0:
            now = time.monotonic()
            line = {
                "step": self.step,
                "epoch": round(self.step / self.per_epoch, 3),
                "minutes": round(self._elapsed_s() / 60, 2),
                "progress": round(progress, 4),
                "loss": loss,
                "ecgs_per_s": round(self._ecgs(self.first) / (now - self.started_s), 1),
                "peak_share": float(f"{self._share(progress, now - self.logged_s):.3g}"),
            }
            line |= self.task.at_epoch()
            with (self.out / LOG).open("a") as file:
                file.write(json.dumps(line) + "\n")
            self.logged, self.logged_s = self.step, time.monotonic()
        return loss

    def _ecgs(self, since: int) -> int:
        """How many windows were trained on since a step."""
        return (self.step - since) * self.config.batch_size

    def _share(self, progress: float, seconds: float) -> float:
        """Share of the device's peak over the steps since the last line, at what a window costs in this phase."""
        rows, random = self.rows[:COUNTED], np.random.default_rng(0)
        self.task.network.eval()  # leaves running statistics alone
        with _autocast(self.task.device, self.config.precision):
            flops = flops_of(lambda: self.task.loss(rows, random, progress))
        self.task.optimizer.zero_grad(set_to_none=True)
        return flops / len(rows) * self._ecgs(self.logged) / seconds / self.peak

    def _save(self) -> None:
        self.saved_s = time.monotonic()
        if rank() == 0:
            state = {"step": self.step, "elapsed_s": self._elapsed_s(), "settings": self.settings, **self.task.state()}
            write_checkpoint(self.out / CHECKPOINT, state)

    def _resume(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        if not (self.out / CHECKPOINT).exists():
            return
        state = read_checkpoint(self.out / CHECKPOINT)
        require_settings(state.pop("settings", {}), self.settings, self.out / CHECKPOINT)
        try:
            self.step, self.before_s = int(state.pop("step")), float(state.pop("elapsed_s"))
            self.task.load_state(state)
        except (KeyError, RuntimeError, ValueError):
            raise TrainingError(
                f"{self.out / CHECKPOINT} is of a run with other settings or data; choose another --out"
            ) from None


def _torch_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def _parameters(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    return (parameter for group in optimizer.param_groups for parameter in group["params"])


def _autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


@contextmanager
def _ending() -> Iterator[list[int]]:
    """A list that is filled once the process is asked to end."""
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)
