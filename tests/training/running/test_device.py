from typing import Any

import pytest
import torch

from training.errors import TrainingError
from training.running.device import resolve_device


def test_a_device_that_is_not_there_is_said_in_one_line() -> None:
    with pytest.raises(TrainingError, match="no device nonsense here"):
        resolve_device("nonsense")


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_process_of_a_machine_has_its_own_card(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(*_: Any, **__: Any) -> None:
        """Nothing is put on a card."""

    monkeypatch.setattr("training.running.device.torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("training.running.device.torch.empty", empty)
    assert resolve_device(name) == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert resolve_device(name) == torch.device("cuda:3")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    assert resolve_device("cpu") == torch.device("cpu")
