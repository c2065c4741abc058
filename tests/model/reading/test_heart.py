"""What tells a heart's beats from what a network takes for beats: likeness, level, sureness, number and T waves."""

import numpy as np
import numpy.typing as npt
import pytest

from model.reading.heart import FEWEST_BEATS, evidence, heart_logits, hold_heart
from model.reading.spans import QRS, Spans, T

HZ, SAMPLES = 250.0, 2500
AT_MS = np.arange(500.0, 9800.0, 900.0)
Signal = npt.NDArray[np.float32]


def spans(at_ms: npt.NDArray[np.float64] = AT_MS, *, confidence: float = 0.95, t_waves: bool = True) -> Spans:
    """One row: a QRS of 90 ms at each time, and a T 250 ms after it."""
    waves = sorted([(at, QRS) for at in at_ms.tolist()] + [(at + 250.0, T) for at in at_ms.tolist() if t_waves])
    middle = np.array([at for at, _ in waves], dtype=np.float64)
    kind = np.array([kind for _, kind in waves], dtype=np.int64)
    return Spans(np.zeros_like(kind), kind, middle - 45, middle + 45, np.full(len(kind), confidence), middle)


def lead(shapes: npt.NDArray[np.float64], at_ms: npt.NDArray[np.float64] = AT_MS) -> Signal:
    """(1, sample): the shape of each beat, 120 ms, at its time; `shapes` (beat, 30) or (30,)."""
    row = np.random.default_rng(0).normal(0, 0.005, SAMPLES)
    for shape, at in zip(np.broadcast_to(shapes, (len(at_ms), 30)), np.rint(at_ms / 4).astype(int), strict=True):
        row[at - 15 : at + 15] += shape
    return row[None].astype(np.float32)


UPRIGHT = np.hanning(30) - 0.4 * np.hanning(30)[::-1].cumsum() / 15 * np.hanning(30)
BURSTS = np.random.default_rng(1).normal(size=(len(AT_MS), 30)) * np.hanning(30)


def logit(found: Spans, rows_mv: Signal) -> float:
    return float(heart_logits(found, rows_mv, HZ)[0])


def test_beats_that_are_alike_are_a_hearts() -> None:
    assert logit(spans(), lead(UPRIGHT)) > 2.5
    assert hold_heart(heart_logits(spans(), lead(UPRIGHT), HZ)[None]).tolist() == [[True]]


def test_every_second_beat_may_be_another() -> None:
    bigeminy = np.where((np.arange(len(AT_MS)) % 2 == 0)[:, None], UPRIGHT, -np.roll(UPRIGHT, 4))
    assert logit(spans(), lead(bigeminy)) > 2.5


def test_bursts_of_noise_are_no_beats() -> None:
    assert logit(spans(), lead(BURSTS)) < 0.0


def test_what_does_not_come_back_is_no_beat() -> None:
    edges = np.cumsum(lead(np.hanning(30) * np.where(np.arange(len(AT_MS)) % 2, 1, -1)[:, None]), axis=1) / 15
    assert logit(spans(), edges.astype(np.float32)) < logit(spans(), lead(UPRIGHT)) - 3.0


def test_doubt_and_missing_t_waves_count() -> None:
    sure = logit(spans(), lead(UPRIGHT))
    assert logit(spans(confidence=0.75), lead(UPRIGHT)) < sure - 3.0
    assert logit(spans(t_waves=False), lead(UPRIGHT)) < sure - 3.0


@pytest.mark.parametrize("beats", range(FEWEST_BEATS))
def test_too_few_beats_are_none(beats: int) -> None:
    few = AT_MS[:beats]
    assert logit(spans(few), lead(UPRIGHT, few)) == -np.inf


def test_evidence_of_a_row_does_not_hang_on_the_others() -> None:
    both = spans()
    second = Spans(both.row + 1, both.kind, both.onset_ms, both.offset_ms, both.confidence, both.peak_ms)
    joined = Spans(
        *(np.concatenate([getattr(one, name) for one in (both, second)]) for name in Spans.__dataclass_fields__)
    )
    rows_mv = np.concatenate([lead(UPRIGHT), lead(BURSTS)])
    alone = [evidence(both, lead(shapes), HZ)[0] for shapes in (UPRIGHT, BURSTS)]
    np.testing.assert_allclose(evidence(joined, rows_mv, HZ), np.stack(alone), atol=1e-6)


def test_a_poor_lead_is_spoken_for_by_the_others_and_noise_is_not() -> None:
    assert hold_heart(np.array([[5.0, 0.5, -9.0]])).tolist() == [[True, True, False]]
    assert hold_heart(np.array([[1.0, 0.5, -9.0]])).tolist() == [[False] * 3]


def test_a_poor_window_is_spoken_for_by_those_around_it() -> None:
    poor = np.array([[5.0], [5.0], [0.5], [5.0], [-9.0], [5.0]])
    assert hold_heart(poor)[:, 0].tolist() == [True, True, True, True, False, True]
    assert not hold_heart(np.full((6, 1), 0.5)).any()


def test_a_window_that_stands_alone_is_not_believed_unless_there_is_no_other() -> None:
    assert not hold_heart(np.array([[-9.0], [-9.0], [5.0], [-9.0], [-9.0]])).any()
    assert hold_heart(np.array([[-9.0], [-9.0], [5.0], [4.0], [-9.0]]))[:, 0].tolist() == [
        False,
        False,
        True,
        True,
        False,
    ]
    assert hold_heart(np.array([[5.0]])).all()
