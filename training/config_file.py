"""Settings from a TOML file or a table of sections: every key known, every value of its type and in its bounds."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from training.config import Config
from training.errors import TrainingError


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
    return parse_config(table)


def parse_config(table: Mapping[str, Any]) -> Config:
    """Settings from a table of sections, as TOML or a checkpoint holds them.

    Raises:
        TrainingError: an unknown section or key, a value of another type.
    """
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
    return get_type_hints(kind, include_extras=True)


def _require_known(values: Mapping[str, object], known: Mapping[str, object], what: str) -> None:
    for key in values:
        if key not in known:
            close = get_close_matches(key, known, n=1, cutoff=0.0)
            raise TrainingError(f"unknown {what}: {key!r}; did you mean {close[0]!r}?")


def _typed(value: object, kind: Any, where: str) -> object:
    """The value if it is of the field's type; a whole number may stand for a real one, a list for a tuple."""
    if get_origin(kind) is Annotated:
        plain, bounds = get_args(kind)
        return _within(_typed(value, plain, where), bounds, where)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise TrainingError(f"{where} is {value!r}, wanted one of {', '.join(map(str, get_args(kind)))}")
        return value
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        return tuple(_typed(item, get_args(kind)[0], where) for item in value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:  # exact, since True is an int
        raise TrainingError(f"{where} is {value!r}, wanted {_type_name(kind)}")
    return value


def _within(value: Any, bounds: tuple[float, float], where: str) -> object:
    low, high = bounds
    if not low <= value <= high:  # nor is nan
        wanted = f"{low:g} to {high:g}" if math.isfinite(high) else f"at least {low:g}"
        raise TrainingError(f"{where} is {value}, wanted {wanted}")
    return value


def _type_name(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return names.get(kind, "a list")
