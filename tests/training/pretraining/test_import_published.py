"""The authors' file becomes an encoder that computes what theirs does."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.errors import EcgError
from model.nn.config import EncoderConfig
from model.nn.encoder import Encoder
from training.pretraining import import_published
from training.running.state import read_encoder, read_sources

GOLDEN = Path(__file__).parents[2] / "golden" / "ecg_jepa_reference.npz"


@pytest.mark.parametrize("nested", [True, False])
def test_an_imported_encoder_reproduces_the_golden_tokens(tmp_path: Path, *, nested: bool) -> None:
    golden = dict(np.load(GOLDEN))
    name = "state/encoder."
    state = {key.removeprefix(name): torch.from_numpy(golden[key]) for key in golden if key.startswith(name)}
    torch.save({"encoder": state} if nested else state, tmp_path / "published.pth")
    answer = import_published.run(tmp_path / "published.pth", tmp_path / "encoder.pt")
    dim, depth, heads = (int(one) for one in golden["config"][:3])
    assert (answer["dim"], answer["depth"], answer["heads"]) == (dim, depth, None)  # a width of the tests alone
    assert read_sources(tmp_path / "encoder.pt") == ("challenge", "code15")  # on which no bundle of it is scored whole
    encoder = Encoder(EncoderConfig(dim=dim, depth=depth, heads=heads))
    encoder.load_state_dict(read_encoder(tmp_path / "encoder.pt"))
    tokens = encoder(torch.from_numpy(golden["x"])).detach().numpy()
    assert np.abs(tokens - golden["tokens"]).max() < 1e-4


def test_what_is_no_encoder_is_said_in_one_line(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save([1], tmp_path / "list.pth")
    torch.save({"network": {"a": torch.zeros(3)}, "keys": ["NORM"], "config": {}}, tmp_path / "tuned.pth")
    half = dict(Encoder(EncoderConfig(dim=16, depth=2, heads=1)).state_dict())
    torch.save({key: value for key, value in half.items() if "mlp" not in key}, tmp_path / "half.pth")
    torch.save({key: value[:4] for key, value in half.items()}, tmp_path / "odd.pth")
    (tmp_path / "text.pth").write_text("no")
    (tmp_path / "table.pth").write_text("record,superclasses,statements\n")
    for name, wanted in (
        ("other.pth", "not the state"),
        ("list.pth", "holds a list"),
        ("tuned.pth", "not the state"),
        ("half.pth", "no whole ECG-JEPA encoder: Missing key"),
        ("odd.pth", "no whole ECG-JEPA encoder: size mismatch"),
        (".", "not a checkpoint"),
        ("text.pth", "not a checkpoint"),
        ("table.pth", "not a checkpoint"),
        ("none.pth", "no file"),
    ):
        with pytest.raises(EcgError, match=wanted):
            import_published.run(tmp_path / name, tmp_path / "encoder.pt")
    assert not (tmp_path / "encoder.pt").exists()
