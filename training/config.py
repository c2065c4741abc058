"""The settings of every stage: one frozen dataclass each, read from a TOML file whose keys are all known."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from training.errors import TrainingError

Precision = Literal["fp32", "bf16"]
Masking = Literal["random", "multiblock"]


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of encoder and predictor.

    Attributes:
        dim: width of a token.
        depth: blocks of the encoder.
        heads: attention heads; divides `dim`.
        predictor_dim: width inside the predictor.
        predictor_depth: blocks of the predictor.
        predictor_heads: attention heads of the predictor; divides `predictor_dim`.
        factorised: row and column attention under one softmax instead of dense attention under a mask.
        cropa: False opens every key to every query, for the ablation.
    """

    dim: int = 128
    depth: int = 6
    heads: int = 4
    predictor_dim: int = 64
    predictor_depth: int = 4
    predictor_heads: int = 4
    factorised: bool = True
    cropa: bool = True


@dataclass(frozen=True)
class PretrainConfig:
    """Self-supervised training."""

    epochs: float = 100.0
    minutes: float = 0.0
    batch_size: int = 64
    accumulation: int = 1
    rate: float = 1e-3
    warmup: float = 0.05
    decay: float = 0.05
    clip: float = 1.0
    precision: Precision = "fp32"
    seed: int = 0
    checkpoint_minutes: float = 5.0
    masking: Masking = "random"
    ema_start: float = 0.996


@dataclass(frozen=True)
class FinetuneConfig:
    """Supervised training of encoder and diagnosis head."""

    epochs: float = 10.0
    minutes: float = 0.0
    batch_size: int = 32
    accumulation: int = 1
    rate: float = 1e-3
    warmup: float = 0.05
    decay: float = 0.05
    clip: float = 1.0
    precision: Precision = "fp32"
    seed: int = 0
    checkpoint_minutes: float = 5.0
    min_positives: int = 20


@dataclass(frozen=True)
class WavesConfig:
    """Training of the wave head."""

    epochs: float = 30.0
    minutes: float = 0.0
    batch_size: int = 16
    rate: float = 1e-3
    seed: int = 0


@dataclass(frozen=True)
class CalibrateConfig:
    """Calibration and thresholds on validation records.

    Attributes:
        min_positives: with fewer positives, or fewer negatives, a statement keeps its logit and the default threshold.
        default_threshold: on the probability, where none can be chosen.
        min_threshold: floor of a chosen threshold.
        max_threshold: ceiling of a chosen threshold.
    """

    min_positives: int = 10
    default_threshold: float = 0.5
    min_threshold: float = 0.05
    max_threshold: float = 0.95


@dataclass(frozen=True)
class EvaluateConfig:
    """Figures and their intervals.

    Attributes:
        bootstrap: draws of an interval.
        seed: of the draws.
        batch_size: windows the network sees at a time.
        min_positives: a statement with fewer positives is left out of the group's mean.
    """

    bootstrap: int = 1000
    seed: int = 0
    batch_size: int = 32
    min_positives: int = 20


@dataclass(frozen=True)
class ExportConfig:
    """What a bundle is called and holds."""

    name: str = "ecg-jepa"
    version: str = "0.1.0"
    variants: tuple[str, ...] = ("masked-fp32", "factorised-fp32")


@dataclass(frozen=True)
class Config:
    """Every stage's settings; a section that the file leaves out keeps its defaults."""

    model: ModelConfig = field(default_factory=ModelConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    waves: WavesConfig = field(default_factory=WavesConfig)
    calibrate: CalibrateConfig = field(default_factory=CalibrateConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    export: ExportConfig = field(default_factory=ExportConfig)


def read_config(name: str | Path | None, overrides: Sequence[str] = ()) -> Config:
    """Settings from a file, or from one of the shipped ones by its name (`nano`); None gives the defaults.

    Args:
        name: path of a TOML file, or the name of one in `training/configs`.
        overrides: `section.key=value`, the value as TOML has it, each laid over the file.

    Raises:
        TrainingError: no such file, not TOML, an unknown section or key, a value of another type.
    """
    table = {} if name is None else _read_toml(_config_path(name))
    for text in overrides:
        _override(table, text)
    sections = {one.name: _known_types(Config)[one.name] for one in fields(Config)}
    _require_known(table, sections, "section")
    return Config(**{section: _build(sections[section], section, values) for section, values in table.items()})


def shipped_configs() -> tuple[str, ...]:
    """Names of the configurations that come with the project."""
    folder = Path(str(files("training") / "configs"))
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def _config_path(name: str | Path) -> Path:
    if str(name) in shipped_configs():
        return Path(str(files("training") / "configs" / f"{name}.toml"))
    path = Path(name)
    if not path.is_file():
        raise TrainingError(f"no configuration {name}; give a .toml file or one of {', '.join(shipped_configs())}")
    return path


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"{path} is not TOML: {error}") from None


def _override(table: dict[str, Any], text: str) -> None:
    where, equals, value = text.partition("=")
    section, dot, key = where.strip().partition(".")
    if not (equals and dot and key):
        raise TrainingError(f"got {text!r}, wanted section.key=value, such as pretrain.epochs=10")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()  # a bare word is meant as text
    table.setdefault(section, {})[key] = parsed


def _build(kind: type[Any], section: str, values: object) -> Any:
    if not isinstance(values, dict):
        raise TrainingError(f"{section} is a section, not a value")
    types = _known_types(kind)
    _require_known(values, types, f"key in [{section}]")
    return kind(**{key: _typed(value, types[key], f"{section}.{key}") for key, value in values.items()})


def _known_types(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _require_known(values: Mapping[str, object], known: Mapping[str, object], what: str) -> None:
    for key in values:
        if key not in known:
            close = get_close_matches(key, known, n=1, cutoff=0.0)
            raise TrainingError(f"unknown {what}: {key!r}; did you mean {close[0]!r}?")


def _typed(value: object, kind: Any, where: str) -> object:
    """The value if it is of the field's type; a whole number may stand for a real one, a list for a tuple."""
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise TrainingError(f"{where} is {value!r}, wanted one of {', '.join(map(str, get_args(kind)))}")
        return value
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_typed(item, get_args(kind)[0], where) for item in value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:  # exact, since True is an int
        raise TrainingError(f"{where} is {value!r}, wanted {_type_name(kind)}")
    return value


def _type_name(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return names.get(kind, "a list")
