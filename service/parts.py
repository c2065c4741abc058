"""Which parts of an answer a caller asks for."""

from collections.abc import Sequence
from typing import get_args

from model.reader import PARTS, Part
from service.errors import ParameterError

EVERY_PART: dict[str, Part] = {part: part for part in get_args(Part) if part != "second_opinion"}
"""What `include` takes; a second opinion has a parameter of its own, since it warns and adds no field."""


def parse_parts(given: Sequence[str], second_opinion: Sequence[str] = ()) -> frozenset[Part]:
    """What is asked for.

    Args:
        given: `include`: comma lists, one or more; none at all asks for findings, measurements and waves.
        second_opinion: `true` or `false`, the last one counts; none at all is false.

    Raises:
        ParameterError: a part that does not exist, an empty one, or another word than true or false.
    """
    if not set(second_opinion) <= {"true", "false"}:
        raise ParameterError("second_opinion takes true or false")
    asked: set[Part] = {"second_opinion"} if second_opinion and second_opinion[-1] == "true" else set()
    return _included(given) | asked


def _included(given: Sequence[str]) -> frozenset[Part]:
    if not given:
        return PARTS
    names = [name.strip() for value in given for name in value.split(",")]
    if not all(name in EVERY_PART for name in names):
        raise ParameterError(f"include takes a comma list of {', '.join(EVERY_PART)}")
    return frozenset(EVERY_PART[name] for name in names)
