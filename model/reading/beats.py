"""Which waves of the leads belong to one heartbeat.

Beats are found by agreement: QRS complexes of different leads that lie close together are one beat when enough of the
leads show it. A beat's global onset is not the earliest of any lead, which one noisy lead would set, but the third
earliest of twelve, and its offset the third latest.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from math import ceil
from statistics import median

import numpy as np
import numpy.typing as npt

from model.reading.waves import WaveKind, Waves

Array = npt.NDArray[np.float64]

BEAT_GAP_MS = 100.0  # QRS centres of one beat lie closer than this from lead to lead; a rate of 300 /min leaves 200
AGREEING = 2 / 3  # of the leads must show a wave: 8 of 12
FULL_SET = 8  # from so many leads on, a bound is the third outermost lead
LONGEST_PR_MS = 500.0
LONGEST_QT_MS = 800.0


@dataclass(frozen=True, eq=False)
class Beats:
    """The waves of a recording beat by beat.

    Attributes:
        leads: names of the rows.
        marks_ms: for each kind, float64 (3, lead, beat): onset, peak, offset; NaN where a lead does not show it.
    """

    leads: tuple[str, ...]
    marks_ms: dict[WaveKind, Array]

    @property
    def count(self) -> int:
        """How many beats there are."""
        return int(self.marks_ms["QRS"].shape[2])

    @cached_property
    def shown(self) -> dict[WaveKind, npt.NDArray[np.int64]]:
        """For each kind, in how many leads each beat shows the wave, (beat,)."""
        return {kind: np.isfinite(marks[0]).sum(axis=0) for kind, marks in self.marks_ms.items()}

    @cached_property
    def onset_ms(self) -> dict[WaveKind, Array]:
        """For each kind, the global onset of each beat, (beat,); NaN where too few leads show the wave."""
        return {kind: self._outermost(kind, marks[0]) for kind, marks in self.marks_ms.items()}

    @cached_property
    def offset_ms(self) -> dict[WaveKind, Array]:
        """For each kind, the global offset of each beat, (beat,); NaN where too few leads show the wave."""
        return {kind: -self._outermost(kind, -marks[2]) for kind, marks in self.marks_ms.items()}

    def leads_shown(self, kind: WaveKind) -> int:
        """In how many leads a beat that has this wave shows it, as a rule."""
        enough = [count for count in self.shown[kind].tolist() if count >= leads_needed(len(self.leads))]
        return int(median(enough)) if enough else 0

    def _outermost(self, kind: WaveKind, times_ms: Array) -> Array:
        """The third smallest over leads, or the like for fewer leads."""
        if not self.leads:
            return np.empty(0)
        rank = 3 if len(self.leads) >= FULL_SET else max(1, round(len(self.leads) / 4))
        ordered = np.sort(times_ms, axis=0)[rank - 1]  # NaN sorts last
        return np.where(self.shown[kind] >= leads_needed(len(self.leads)), ordered, np.nan)


@dataclass(frozen=True, eq=False)
class _Marks:
    """All waves of one kind.

    Attributes:
        times_ms: float64 (3, wave): onset, peak, offset.
        row: the lead of each, (wave,).
    """

    times_ms: Array
    row: npt.NDArray[np.int64]

    def __getitem__(self, chosen: npt.NDArray[np.bool_] | slice) -> "_Marks":
        return _Marks(self.times_ms[:, chosen], self.row[chosen])


def leads_needed(leads: int) -> int:
    """How many of the leads must show a wave before it counts."""
    return max(1, ceil(AGREEING * leads))


def match_beats(waves: Waves, leads: tuple[str, ...]) -> Beats:
    """Beats that enough of the leads agree on, in order of time.

    Args:
        waves: lead to waves, at least of `leads`.
        leads: the leads that are trusted.
    """
    p, qrs, t = (_marks(waves, leads, kind) for kind in ("P", "QRS", "T"))
    centres, beat = _agreed_centres(qrs, len(leads))
    p_beat = np.searchsorted(centres, p.times_ms[1])
    t_beat = np.searchsorted(centres, t.times_ms[1]) - 1
    bounded = np.concatenate([[-np.inf], centres, [np.inf]])
    p_near = (p_beat < len(centres)) & (bounded[p_beat + 1] - p.times_ms[0] <= LONGEST_PR_MS)
    t_near = (t_beat >= 0) & (t.times_ms[2] - bounded[t_beat + 1] <= LONGEST_QT_MS)
    shape = (3, len(leads), len(centres))
    # Of the P waves before a beat the last is kept, of the T waves after it the first.
    marks: dict[WaveKind, Array] = {
        "P": _placed(shape, p[p_near], p_beat[p_near]),
        "QRS": _placed(shape, qrs[beat >= 0], beat[beat >= 0]),
        "T": _placed(shape, t[t_near][::-1], t_beat[t_near][::-1]),
    }
    return Beats(leads, marks)


def _marks(waves: Waves, leads: tuple[str, ...], kind: WaveKind) -> _Marks:
    """The waves of one kind, lead by lead, in order of time within a lead."""
    listed = [[wave for wave in waves[lead] if wave.wave == kind] for lead in leads]
    found = list(chain.from_iterable(listed))
    times = ([wave.onset_ms for wave in found], [wave.peak_ms for wave in found], [wave.offset_ms for wave in found])
    return _Marks(np.array(times, dtype=np.float64), np.repeat(np.arange(len(leads)), list(map(len, listed))))


def _agreed_centres(qrs: _Marks, leads: int) -> tuple[Array, npt.NDArray[np.int64]]:
    """Centre of each agreed beat, (beat,), and the beat of each QRS, (wave,), -1 where it belongs to none."""
    if len(qrs.row) == 0:
        return np.empty(0), np.empty(0, np.int64)
    centre = (qrs.times_ms[0] + qrs.times_ms[2]) / 2
    order = np.argsort(centre, kind="stable")
    group = np.empty(len(order), np.int64)
    ordered = centre[order]
    group[order[0]] = 0
    group[order[1:]] = np.cumsum(ordered[1:] - ordered[:-1] > BEAT_GAP_MS)
    shown = np.zeros((group.max() + 1, leads), bool)
    shown[group, qrs.row] = True
    agreed = shown.sum(axis=1) >= leads_needed(leads)
    means = np.bincount(group, centre) / np.bincount(group)
    return means[agreed], np.where(agreed[group], (np.cumsum(agreed) - 1)[group], -1)


def _placed(shape: tuple[int, int, int], marks: _Marks, beat: npt.NDArray[np.int64]) -> Array:
    """(3, lead, beat) with every mark at its place; where two claim one, numpy keeps the later."""
    placed = np.full(shape, np.nan)
    placed[:, marks.row, beat] = marks.times_ms
    return placed
