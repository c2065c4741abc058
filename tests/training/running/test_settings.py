"""A run goes on as it began, or says in one line what is otherwise."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.running.test_loop import CONFIG, Line
from training.config import ModelConfig
from training.errors import TrainingError
from training.running.checkpoint import read_checkpoint, write_checkpoint
from training.running.loop import train
from training.running.settings import FREE, SAID, require_settings, settings_of

ROWS = np.arange(64)
MODEL = ModelConfig(dim=16, heads=2)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A run that ended."""
    train(Line(), ROWS, CONFIG, tmp_path, model=MODEL)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"batch_size": 16}, r"a run with batch_size = 8, and 16 is asked for; ask for the same, or choose another"),
        ({"rate": 0.1}, r"rate = 0.05, and 0.1 is asked for"),
        ({"seed": 1}, r"seed = 0, and 1 is asked for"),
        ({"decay": 0.0}, r"decay = 0.05, and 0.0 is asked for"),
    ],
)
def test_a_run_does_not_go_on_under_other_options(begun: Path, changes: dict[str, float], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        train(Line(), ROWS, replace(CONFIG, **changes), begun, model=MODEL)  # type: ignore[arg-type]


def test_nor_with_another_network_whose_weights_have_the_same_shapes(begun: Path) -> None:
    with pytest.raises(TrainingError, match=r"model\.heads = 2, and 4 is asked for"):
        train(Line(), ROWS, CONFIG, begun, model=replace(MODEL, heads=4))


def test_how_it_is_computed_may_change_without_a_word(begun: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = replace(CONFIG, accumulation=2, compile=True, checkpoint_minutes=1.0)
    train(Line(), ROWS, other, begun, model=replace(MODEL, factorised=False))
    assert not caplog.records


def test_a_longer_run_goes_on_and_says_so(begun: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = Line()
    with caplog.at_level(logging.WARNING):
        train(task, ROWS, replace(CONFIG, epochs=4), begun, model=MODEL)
    assert task.steps == 8
    assert [one.getMessage() for one in caplog.records] == ["the run goes on with epochs = 4; it began with 3"]


def test_a_checkpoint_of_before_options_were_kept_is_taken_up(begun: Path) -> None:
    state = read_checkpoint(begun / "checkpoint.pt")
    assert state.pop("settings")["model.heads"] == 2
    write_checkpoint(begun / "checkpoint.pt", state)
    train(Line(), ROWS, replace(CONFIG, batch_size=16), begun, model=MODEL)


def test_an_option_that_came_later_is_no_change(tmp_path: Path) -> None:
    require_settings({"rate": 1.0, "gone": 1}, {"rate": 1.0, "new": 2}, tmp_path)


def test_the_options_that_may_change_are_options() -> None:
    assert {name for name in FREE | SAID if name != "cross_validate"} <= settings_of(CONFIG, MODEL).keys()
