from pathlib import Path

import pytest

from training.config import Config
from training.config_file import read_config, shipped_configs
from training.errors import TrainingError


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_the_sizes_that_ship() -> None:
    sizes = {name: read_config(name).model for name in shipped_configs()}
    assert {name: (one.dim, one.depth, one.heads) for name, one in sizes.items()} == {
        "micro": (32, 2, 2),
        "nano": (128, 6, 4),
        "nano-further": (128, 6, 4),
        "nano-second": (128, 6, 4),
        "nano-tokens": (128, 6, 4),
        "tiny": (192, 12, 3),
        "small": (384, 12, 6),
        "base": (768, 12, 16),
    }
    base = sizes["base"]
    assert (base.predictor_dim, base.predictor_depth, base.predictor_heads) == (384, 6, 12)


def test_the_paper_is_followed_to_the_letter() -> None:
    """As the authors' README and code have it for random masks; 4 % of the peak rate are their 1e-6."""
    stage = read_config("base").pretrain
    assert (stage.masking, stage.batch_size, stage.rate) == ("random", 128, 2.5e-5)
    assert stage.floor * stage.rate == pytest.approx(1e-6)
    assert (stage.epochs, stage.warmup, stage.decay, stage.beta2, stage.clip) == (100.0, 0.05, 0.05, 0.999, 0.0)
    assert (stage.start, stage.momentum_start, stage.drop_path, stage.changes) == ("published", 0.996, 0.1, False)


def test_what_is_left_out_keeps_its_default(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, "[pretrain]\nepochs = 3\n"))
    assert config.pretrain.epochs == 3.0
    assert config.model == Config().model
    assert read_config(None) == Config()


def test_an_override_lies_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "[pretrain]\nepochs = 3\nseed = 1\n")
    config = read_config(path, ["pretrain.epochs=0.5", "pretrain.precision=bf16", 'export.variants=["masked-fp32"]'])
    assert (config.pretrain.epochs, config.pretrain.seed, config.pretrain.precision) == (0.5, 1, "bf16")
    assert config.export.variants == ("masked-fp32",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[pretrain]\nepoch = 3\n", r"unknown key in \[pretrain\]: 'epoch'; did you mean 'epochs'\?"),
        ("[pretrian]\nepochs = 3\n", r"unknown section: 'pretrian'; did you mean 'pretrain'\?"),
        ("epochs = 3\n", "unknown section: 'epochs'"),
        ("pretrain = 3\n", "pretrain is a section, not a value"),
        ("[model]\ndim = 'wide'\n", "model.dim is 'wide', wanted a whole number"),
        ("[model]\ndim = 12.5\n", "model.dim is 12.5, wanted a whole number"),
        ("[model]\ndim = true\n", "model.dim is True, wanted a whole number"),
        ("[pretrain]\nprecision = 'fp8'\n", "pretrain.precision is 'fp8', wanted one of fp32, bf16"),
        ("[pretrain]\nbatch_size = 0\n", "pretrain.batch_size is 0, wanted at least 1"),
        ("[pretrain]\ncrop_patches = 99\n", "pretrain.crop_patches is 99, wanted 2 to 50"),
        ("[pretrain]\nseed = -1\n", "pretrain.seed is -1, wanted at least 0"),
        ("[finetune]\nlead_dropout = 1.5\n", "finetune.lead_dropout is 1.5, wanted 0 to 1"),
        ("[finetune]\nrate = nan\n", "finetune.rate is nan, wanted at least 0"),
        ("[model]\nheads = 3\n", "model.dim is 128, wanted a multiple of 12"),
        ("[model]\npredictor_heads = 5\n", "model.predictor_dim is 64, wanted a multiple of 10"),
        ("[export]\nvariants = [1]\n", "export.variants is 1, wanted text"),
        ("[export]\nvariants = 'masked'\n", "export.variants is 'masked', wanted a list"),
        ("[model\n", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        read_config(written(tmp_path, text))


def test_an_unknown_configuration_names_those_that_ship() -> None:
    with pytest.raises(
        TrainingError,
        match=r"no configuration huge; give a \.toml file or one of "
        "base, micro, nano, nano-further, nano-second, nano-tokens, small, tiny",
    ):
        read_config("huge")


def test_an_override_without_section_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"wanted section\.key=value"):
        read_config(None, ["epochs=3"])
