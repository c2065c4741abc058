"""Marks to classes and distances, with what nobody looked at left unknown."""

import numpy as np
import pytest

from training.sources.ludb import Marks, marks_of
from training.waves.targets import RASTER_HZ, UNKNOWN, rasterise


def marks(symbols: str, *times_s: float) -> Marks:
    return marks_of(list(symbols), np.array(times_s))


def at(seconds: float) -> int:
    return round(seconds * RASTER_HZ)


def test_inside_the_span_all_is_known_and_outside_nothing() -> None:
    label, _ = rasterise(marks("(p)(N)(t)", 1.0, 1.05, 1.1, 1.2, 1.25, 1.3, 1.5, 1.6, 1.7))
    assert (label[: at(1.0)] == UNKNOWN).all()
    assert (label[at(1.7) :] == UNKNOWN).all()
    assert [int(label[at(second)]) for second in (1.05, 1.15, 1.25, 1.4, 1.6)] == [1, 0, 2, 0, 3]


def test_a_missing_bracket_leaves_unknown_what_it_would_have_told() -> None:
    label, distance = rasterise(marks("(p)N)(t)", 1.0, 1.05, 1.1, 1.25, 1.3, 1.5, 1.6, 1.7))
    assert label[at(1.2)] == UNKNOWN
    assert label[at(1.28)] == 2
    assert distance[0, at(1.25)] == pytest.approx(1.5 - 1.25)


def test_distance_points_to_the_nearest_boundary() -> None:
    _, distance = rasterise(marks("(N)(N)", 1.0, 1.05, 1.1, 2.0, 2.05, 2.1))
    assert distance[0, at(1.02)] == pytest.approx(-0.02)
    assert distance[0, at(1.9)] == pytest.approx(0.1)
    assert distance[1, at(1.05)] == pytest.approx(0.05)


def test_a_lead_without_marks_is_unknown() -> None:
    label, distance = rasterise(marks(""))
    assert (label == UNKNOWN).all()
    assert (np.abs(distance) > 1.0).all()


def test_stray_brackets_belong_to_no_wave() -> None:
    row = marks("((N))(t", 1.0, 1.1, 1.15, 1.2, 1.3, 1.5, 1.6)
    assert row.onset_s[0] == 1.1
    assert row.offset_s[0] == 1.2
    assert np.isnan(row.offset_s[1])
