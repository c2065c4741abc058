"""The loop resumes bit for bit, ends when asked, loses no checkpoint, and two processes train as one."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.config import LoopConfig
from training.errors import TrainingError
from training.running.checkpoint import read_checkpoint, write_checkpoint
from training.running.loop import Rows, train
from training.running.optim import adamw

CONFIG = LoopConfig(epochs=3, batch_size=8, rate=0.05, checkpoint_minutes=1e9)


@dataclass
class Line:
    """Fits a line through noisy points; `stop_at` asks for the end after that many steps."""

    stop_at: int = 0
    steps: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        self.network: nn.Module = nn.Linear(1, 1)
        self.optimizer: torch.optim.Optimizer = adamw(self.network.named_parameters(), rate=0.05, decay=0.01)

    def loss(self, rows: Rows, random: np.random.Generator, progress: float) -> Tensor:
        x = torch.from_numpy(rows.astype(np.float32))[:, None] / 64
        noise = float(random.normal(scale=0.01))
        loss: Tensor = (self.network(x) - 3 * x - noise).square().mean()
        return loss

    def after_step(self, progress: float) -> None:
        self.steps += 1
        if self.steps == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    def at_epoch(self) -> dict[str, float]:
        return {"probe": 1.0}

    def state(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


class Dropping(Line):
    """Draws from torch's own dice, as dropout does."""

    def loss(self, rows: Rows, random: np.random.Generator, progress: float) -> Tensor:
        kept = nn.functional.dropout(torch.ones(()), 0.5)
        return kept * super().loss(rows, random, progress)


def _weights(task: Line) -> list[Tensor]:
    return [one.detach().clone() for one in task.network.parameters()]


@pytest.mark.parametrize("kind", [Line, Dropping])
def test_a_run_that_was_cut_off_ends_where_an_uncut_one_does(tmp_path: Path, kind: type[Line]) -> None:
    rows = np.arange(64)
    whole = kind()
    train(whole, rows, CONFIG, tmp_path / "whole")
    with pytest.raises(TrainingError, match="asked to end after step 11; the same command goes on from there"):
        train(kind(stop_at=11), rows, CONFIG, tmp_path / "cut")
    rest = kind()
    train(rest, rows, CONFIG, tmp_path / "cut")
    assert rest.steps == 24 - 11
    assert all(torch.equal(a, b) for a, b in zip(_weights(whole), _weights(rest), strict=True))


def test_a_run_that_fails_leaves_its_line_of_progress_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing(Line):
        def at_epoch(self) -> dict[str, float]:
            raise TrainingError("the disk is full")

    with pytest.raises(TrainingError):
        train(Failing(), np.arange(64), CONFIG, tmp_path)
    assert capsys.readouterr().err.endswith("\n")  # what is said next begins a line of its own


def test_a_loss_that_is_no_number_ends_the_run_before_the_weights_are_spoilt(tmp_path: Path) -> None:
    class Diverging(Line):
        def loss(self, rows: Rows, random: np.random.Generator, progress: float) -> Tensor:
            return super().loss(rows, random, progress) * (float("nan") if self.steps == 5 else 1.0)

    task = Diverging()
    with pytest.raises(TrainingError, match="the loss of step 6 is nan; a lower rate may help"):
        train(task, np.arange(64), CONFIG, tmp_path)
    assert all(one.isfinite().all() for one in _weights(task))


def test_a_batch_that_cannot_be_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="a batch of 8 cannot be split into 9 parts"):
        train(Line(), np.arange(64), replace(CONFIG, accumulation=9), tmp_path)


def test_the_log_has_a_line_an_epoch(tmp_path: Path) -> None:
    train(Line(), np.arange(64), CONFIG, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert lines[-1]["probe"] == 1.0
    assert lines[-1]["progress"] == 1.0
    assert all(0.0 < line["peak_share"] < 1.0 for line in lines)


def test_a_line_may_stand_for_several_passes_and_the_last_one_stands_for_the_rest(tmp_path: Path) -> None:
    train(Line(), np.arange(64), replace(CONFIG, look_every=2), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [2, 3]
    assert all(line["probe"] == 1.0 for line in lines)


def test_the_clock_ends_a_run(tmp_path: Path) -> None:
    task = Line()
    train(task, np.arange(64), LoopConfig(epochs=1e6, minutes=0.01, batch_size=8), tmp_path)
    assert 0 < task.steps < 1e6


def test_accumulation_does_not_change_the_step(tmp_path: Path) -> None:
    class Quiet(Line):
        def loss(self, rows: Rows, random: np.random.Generator, progress: float) -> Tensor:
            return super().loss(rows, np.random.default_rng(0), progress)

    ends = []
    for parts in (1, 4):
        task = Quiet()
        config = LoopConfig(epochs=2, batch_size=8, accumulation=parts)
        train(task, np.arange(64), config, tmp_path / str(parts))
        assert task.steps == 16
        ends.append(_weights(task))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*ends, strict=True))


def test_parts_count_by_what_their_rows_weigh(tmp_path: Path) -> None:
    weights = np.arange(64) % 5

    class Weighed(Line):
        def loss(self, rows: Rows, random: np.random.Generator, progress: float) -> Tensor:
            x, weight = (torch.from_numpy(one.astype(np.float32))[:, None] for one in (rows / 64, weights[rows]))
            loss: Tensor = (weight * (self.network(x) - 3 * x).square()).sum() / weight.sum().clamp(min=1)
            return loss

    for parts in (1, 3, 8):
        config = LoopConfig(epochs=2, batch_size=8, accumulation=parts)
        train(Weighed(), np.arange(64), config, tmp_path / str(parts), weights=weights)
        assert losses(tmp_path / str(parts)) == pytest.approx(losses(tmp_path / "1"), rel=1e-5)


def test_a_batch_larger_than_the_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="batch of 8"):
        train(Line(), np.arange(7), CONFIG, tmp_path)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "checkpoint.pt", {"network": {}, "optimizer": {}, "step": 1, "elapsed_s": 0.0})
    with pytest.raises(TrainingError, match="other settings"):
        train(Line(), np.arange(64), CONFIG, tmp_path)


def test_a_failed_write_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, {"step": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.running.checkpoint.os.fsync", full)
    with pytest.raises(TrainingError, match="the disk is full"):
        write_checkpoint(path, {"step": 2})
    assert read_checkpoint(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_checkpoint_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no checkpoint")
    torch.save([1], tmp_path / "list.pt")
    for name, wanted in (
        ("text.pt", "not a checkpoint"),
        ("list.pt", "holds a list"),
        ("none.pt", "no checkpoint"),
        (".", "is a folder"),
    ):
        with pytest.raises(TrainingError, match=wanted):
            read_checkpoint(tmp_path / name)


def losses(out: Path) -> list[float]:
    """What the log of a run says of its epochs."""
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


PAIR = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import numpy as np
from tests.training.running.test_loop import CONFIG, Line
from training.running.loop import train
train(Line(stop_at=int(sys.argv[3]) * int(os.environ["RANK"])), np.arange(64), CONFIG, Path(sys.argv[1]))
"""


def run_pair(out: Path, *, script: str = PAIR, stop_at: int = 0) -> list[int]:
    """Exit statuses of two processes that train together; the second may be asked to end after some steps."""
    root = Path(__file__).parents[3]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(out), str(root), str(stop_at)],
            env=os.environ
            | {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            | {"OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    return [process.wait(timeout=300) for process in processes]


def test_of_two_processes_that_one_is_asked_to_end_both_do(tmp_path: Path) -> None:
    assert run_pair(tmp_path, stop_at=11) == [1, 1]
    assert read_checkpoint(tmp_path / "checkpoint.pt")["step"] == 11
    assert run_pair(tmp_path) == [0, 0]
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [8, 16, 24]


def test_two_processes_have_the_losses_of_one(tmp_path: Path) -> None:
    assert run_pair(tmp_path / "pair") == [0, 0]
    train(Line(), np.arange(64), CONFIG, tmp_path / "one")
    assert losses(tmp_path / "pair") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
