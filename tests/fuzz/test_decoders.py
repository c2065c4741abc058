"""The fuzzer's targets under a few hundred seeded mutations; `make fuzz` is the long, coverage-guided form."""

import numpy as np
import pytest

from tests.fuzz.bounds import hold
from tests.fuzz.targets import TARGETS

BODIES = 300
WORDS = (
    b"0",
    b"-1",
    b"99999999999",
    b"nan",
    b"1e999",
    b"\x00",
    b"\xff\xff\xff\xff",
    b'"',
    b"[",
    b"}",
    b"/",
    b"\n",
    b"+24",
)


def mutated(body: bytes, rng: np.random.Generator) -> bytes:
    """A body with stretches exchanged, doubled, cut out or replaced by what has broken parsers before."""
    data = bytearray(body)
    for _ in range(int(rng.integers(1, 6))):
        place, length = int(rng.integers(0, len(data) + 1)), int(rng.geometric(0.1))
        stretch = data[place : place + length]
        choices = (b"", bytes(stretch) * 2, rng.bytes(length), WORDS[int(rng.integers(len(WORDS)))], stretch[::-1])
        data[place : place + length] = choices[int(rng.integers(len(choices)))]
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_no_mutation_brings_a_decoder_down(name: str) -> None:
    target, rng = TARGETS[name], np.random.default_rng(0)
    for body in target.bodies:
        hold(target.ecgs, body)
    for number in range(BODIES):
        hold(target.ecgs, mutated(target.bodies[number % len(target.bodies)], rng))
