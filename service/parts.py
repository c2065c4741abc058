"""Which parts of an answer a caller asks for."""

from collections.abc import Sequence
from typing import get_args

from model.reader import PARTS, Part
from service.errors import ParameterError

EVERY_PART: dict[str, Part] = {part: part for part in get_args(Part)}


def parse_parts(given: Sequence[str]) -> frozenset[Part]:
    """The parts in `include`: comma lists, one or more; none at all asks for findings, measurements and waves.

    Raises:
        ParameterError: a part that does not exist, or an empty one.
    """
    if not given:
        return PARTS
    names = [name.strip() for value in given for name in value.split(",")]
    if not all(name in EVERY_PART for name in names):
        raise ParameterError(f"include takes a comma list of {', '.join(EVERY_PART)}")
    return frozenset(EVERY_PART[name] for name in names)
