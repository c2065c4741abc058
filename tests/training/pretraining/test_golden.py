"""The network computes what the published code computes."""

from pathlib import Path

import numpy as np
import pytest

from training.errors import TrainingError
from training.pretraining import golden

FILE = Path(__file__).parents[2] / "golden" / "ecg_jepa_reference.npz"


def test_every_golden_array_is_reproduced() -> None:
    errors = golden.run(FILE)
    assert set(errors) == {
        *("tokens", "representation", "context_tokens"),
        *("predicted_masked", "target_masked", "loss"),
    }
    assert max(errors.values()) <= 1e-4


def test_another_network_does_not_pass(tmp_path: Path) -> None:
    arrays = dict(np.load(FILE))
    arrays["state/encoder.W_P.weight"] = 1.1 * arrays["state/encoder.W_P.weight"]
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(TrainingError, match="tokens"):
        golden.run(tmp_path / "other.npz")


def test_what_is_no_golden_file_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "lacking.npz", x=np.zeros(3))
    for name, wanted in (("text.npz", "cannot be read"), ("lacking.npz", "lacks"), ("none.npz", "cannot be read")):
        with pytest.raises(TrainingError, match=wanted):
            golden.run(tmp_path / name)
