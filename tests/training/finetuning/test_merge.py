"""Networks that learned apart answer together: the mean of their logits, from one graph."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from model.nn.network import DetailAlone, EcgNetwork
from training.config import Config, ModelConfig
from training.errors import TrainingError
from training.finetuning.merge import merge, run
from training.running.checkpoint import write_checkpoint
from training.running.state import Trained, read_trained

KEYS = ("NORM", "MI", "AF")
CONFIG = Config(model=ModelConfig(dim=16, depth=1, heads=2))
TOKENS = replace(CONFIG, model=replace(CONFIG.model, detail=False))


def trained(seed: int, *, alone: bool = True, keys: tuple[str, ...] = KEYS, config: Config = CONFIG) -> Trained:
    """A network whose weights are random, with tokens that count or, for one that learned alone, do not."""
    torch.manual_seed(seed)
    network = EcgNetwork(config.model.encoder, len(keys), detail=config.model.paths).eval()
    torch.nn.init.normal_(network.head.linear.weight)
    torch.nn.init.normal_(network.head.linear.bias)
    if alone:
        torch.nn.init.zeros_(network.head.linear.weight[:, : config.model.dim])
    return Trained(network.state_dict(), keys, config, {})


@torch.no_grad()
def logits(one: Trained, windows: torch.Tensor) -> torch.Tensor:
    answer: torch.Tensor = one.network()(windows)[0]
    return answer


@torch.no_grad()
def test_logits_are_the_mean_of_all_networks_however_they_are_merged() -> None:
    windows = torch.randn(3, 8, 2500)
    networks = trained(0, alone=False), trained(1), trained(2)
    mean = torch.stack([logits(one, windows) for one in networks]).mean(dim=0)
    one_by_one = merge(merge(networks[0], networks[1]), networks[2])
    pair_last = merge(networks[0], merge(networks[1], networks[2]))
    assert torch.allclose(logits(one_by_one, windows), mean, atol=1e-4)
    assert torch.allclose(logits(pair_last, windows), mean, atol=1e-4)
    assert one_by_one.config.model.paths == 3


@torch.no_grad()
def test_tokens_that_learned_alone_are_put_beside_a_detail_path_with_the_share_asked_for() -> None:
    windows = torch.randn(3, 8, 2500)
    tokens, detail = trained(0, alone=False, config=TOKENS), trained(1)
    both = torch.stack([logits(one, windows) for one in (tokens, detail)])
    assert torch.allclose(logits(merge(tokens, detail), windows), both.mean(dim=0), atol=1e-4)
    mixed = merge(tokens, detail, share=0.3)
    assert torch.allclose(logits(mixed, windows), 0.3 * both[0] + 0.7 * both[1], atol=1e-4)
    assert mixed.config.model.paths == 1


@torch.no_grad()
def test_tokens_of_the_second_are_left_out_where_that_is_asked_for() -> None:
    windows, first, second = torch.randn(2, 8, 2500), trained(0), trained(1, alone=False)
    mean = (logits(first, windows) + DetailAlone(second.network().head)(windows)[0]) / 2
    assert torch.allclose(logits(merge(first, second, leave_tokens=True), windows), mean, atol=1e-4)


def test_what_either_learned_from_is_remembered() -> None:
    first, second = replace(trained(0), sources=("ptbxl", "x")), replace(trained(1), sources=("x", "challenge"))
    assert merge(first, second).sources == ("ptbxl", "x", "challenge")


@torch.no_grad()
def test_what_learned_alone_answers_alone_as_in_its_network() -> None:
    windows, one = torch.randn(2, 8, 2500), trained(1)
    assert torch.allclose(DetailAlone(one.network().head)(windows)[0], logits(one, windows), atol=1e-6)


def test_merged_networks_are_read_like_any_other(tmp_path: Path) -> None:
    for name, one in (("a.pt", trained(0, alone=False)), ("b.pt", trained(1))):
        state = {"network": one.weights, "keys": list(one.keys), "config": asdict(one.config), "val": {}}
        write_checkpoint(tmp_path / name, state)
    result = run(tmp_path / "a.pt", [tmp_path / "b.pt"], tmp_path / "ab.pt")
    assert result["detail_paths"] == 2
    assert read_trained(tmp_path / "ab.pt").network().head.linear.weight.shape == (3, 16 + 2 * 512)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (trained(1, alone=False), "leans on its own"),
        (trained(1, keys=("NORM", "AF", "MI")), "other statements"),
        (trained(1, config=Config(model=ModelConfig(dim=32, depth=1, heads=2))), "other widths"),
        (trained(1, config=TOKENS), "without a detail path"),
    ],
)
def test_networks_that_do_not_fit_are_refused(second: Trained, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        merge(trained(0), second)


def test_a_share_is_a_share() -> None:
    with pytest.raises(TrainingError, match="wanted 0 to 1"):
        merge(trained(0), trained(1), share=1.5)
