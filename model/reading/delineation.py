"""Wave outputs of the network to P, QRS and T: boundaries between two frames, in the order that a heart keeps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from model.reading.heart import heart_logits, hold_heart
from model.reading.spans import KINDS, QRS, Floats, Ints, Spans, T, within
from model.reading.waves import Wave, Waves
from model.signal.leads import MODEL_LEADS, standard_from_model

FRAME_MS = 8.0
OFFSET_STEP_MS = 0.5
_SHORTEST_MS = np.array([0.0, 30.0, 30.0, 60.0])
_LONGEST_MS = np.array([0.0, 260.0, 320.0, 600.0])
# A network says the mean of what cardiologists would mark, and the third earliest of twelve means lies inside the third
# earliest of twelve marks. By so much, ms before onset and after offset, are none, P, QRS and T widened: that gap in
# record medians of LUDB, from heads that had not seen the record, and less for P, whose leads differ most. The onset of
# T has no part in an interval; there it is the bias.
MARGIN_MS = np.array([[0.0, 0.0], [4.0, 4.0], [3.0, 5.0], [1.5, 4.0]])
_BRIDGE_FRAMES = 3  # a gap of 24 ms inside one wave is doubt, not two waves
_REFRACTORY_MS = 200.0  # 300 /min
_SEAM_MS = 40.0  # two windows may place the middle of one wave so far apart
_FLAT_MV = 0.005

HeartLogits = Callable[[Spans, npt.NDArray[np.float32], float], Floats]
"""How likely each row holds a heart; `model.reading.heart.heart_logits` or a stand-in."""


@dataclass(frozen=True, eq=False)
class WaveOutputs:
    """What the wave head says of the windows of a recording.

    Attributes:
        label: uint8 (window, lead, frame): 0 none, 1 P, 2 QRS, 3 T; a frame every `FRAME_MS`.
        probability: uint8 (window, lead, frame), of that label, in 1/255.
        distance: int8 (window, lead, 2, frame), to the nearest onset and offset, in steps of `OFFSET_STEP_MS`.
    """

    label: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.uint8]
    distance: npt.NDArray[np.int8]

    @classmethod
    def of(cls, outputs: Mapping[str, npt.NDArray[np.generic]]) -> "WaveOutputs":
        """From the outputs of a graph by name; raises KeyError where the graph has no wave head."""
        return cls(
            outputs["wave_label"].astype(np.uint8),
            outputs["wave_probability"].astype(np.uint8),
            outputs["wave_distance"].astype(np.int8),
        )


def delineate(
    outputs: WaveOutputs,
    windows_mv: npt.NDArray[np.float32],
    leads: Sequence[str],
    *,
    starts_s: Sequence[float],
    sampling_hz: float,
    duration_s: float,
) -> Waves:
    """Waves of a recording, each taken from the window in which it lies most central.

    A lead without a heart has no waves; a wave that the recording cuts off is left out, since its boundary is not seen.

    Args:
        outputs: of every window.
        windows_mv: (window, lead, sample), what the network saw of each lead; a flat lead has no waves.
        leads: their names.
        starts_s: where each window begins.
        sampling_hz: of `windows_mv`.
        duration_s: of the recording; what lies past it is padding.

    Returns:
        For every lead its waves in order of time, in ms from the first sample of the recording.
    """
    delineation = Delineation(leads, sampling_hz)
    delineation.add(outputs, windows_mv, starts_s)
    return delineation.waves(duration_s)


class Delineation:
    """Collects what the network says of a recording, some windows at a time, so that its length is not bounded.

    Args:
        leads: names of the leads.
        sampling_hz: of the windows.
        heart: how likely a lead holds a heart, without which it has no waves.
    """

    def __init__(self, leads: Sequence[str], sampling_hz: float, heart: HeartLogits = heart_logits) -> None:
        self._leads = leads
        self._sampling_hz = sampling_hz
        self._heart = heart
        self._starts_ms: list[float] = []
        self._window_ms = 0.0
        self._found: list[Spans] = []
        self._logits: list[Floats] = []

    def add(self, outputs: WaveOutputs, windows_mv: npt.NDArray[np.float32], starts_s: Sequence[float]) -> None:
        """Take the next windows, in order of time; arguments as those of `delineate`."""
        count, lead_count = windows_mv.shape[:2]
        rows_mv = windows_mv.reshape(count * lead_count, -1)
        flat = np.ptp(rows_mv, axis=1) < _FLAT_MV
        label = np.where(flat[:, None], 0, outputs.label.reshape(len(rows_mv), -1)).astype(np.uint8)
        spans = _decode(label, outputs.probability.reshape(label.shape), outputs.distance.reshape(len(label), 2, -1))
        self._logits.append(self._heart(spans, rows_mv, self._sampling_hz))
        spans = _with_peaks(spans, rows_mv, self._sampling_hz)
        self._found.append(replace(spans, row=spans.row + len(self._starts_ms) * lead_count))
        self._starts_ms.extend(1000.0 * start_s for start_s in starts_s)
        self._window_ms = windows_mv.shape[2] / self._sampling_hz * 1000.0

    def waves(self, duration_s: float) -> Waves:
        """The waves of all windows together, of a recording that lasts so long."""
        spans = Spans(*(np.concatenate([getattr(one, part.name) for one in self._found]) for part in fields(Spans)))
        heart = hold_heart(np.concatenate(self._logits).reshape(-1, len(self._leads)))
        spans = spans[heart.ravel()[spans.row]]
        spans = _joined(spans, np.asarray(self._starts_ms), self._window_ms, len(self._leads))
        spans = replace(spans, onset_ms=np.maximum(spans.onset_ms, 0.0))  # a margin may reach before the first sample
        return _by_lead(_ordered(spans[spans.offset_ms < duration_s * 1000.0 - FRAME_MS]), self._leads)


def twelve_leads(windows_mv: npt.NDArray[np.float32], dead_leads: Sequence[str] = ()) -> npt.NDArray[np.float32]:
    """What the network sees of the standard leads, (window, 12, sample), from the model's eight.

    A lead that rests on a dead one is zero: what the algebra would make of the other alone is no lead.
    """
    weights = standard_from_model()
    rests_on_dead = weights[:, [MODEL_LEADS.index(lead) for lead in dead_leads]].any(axis=1, keepdims=True)
    return np.asarray(np.where(rests_on_dead, np.float32(0), weights) @ windows_mv)


def _decode(label: npt.NDArray[np.uint8], probability: npt.NDArray[np.uint8], distance: npt.NDArray[np.int8]) -> Spans:
    """Waves of each row of (row, frame), in ms from the start of the row."""
    row, kind, first, past = _runs(_bridged(label))
    onset_ms = _boundary_ms(distance[:, 0], row, first) - MARGIN_MS[kind, 0]
    offset_ms = _boundary_ms(distance[:, 1], row, past) + MARGIN_MS[kind, 1]
    before = np.zeros(probability.size + 1, dtype=np.int64)
    np.cumsum(probability, out=before[1:])
    at = row * label.shape[1]
    confidence = (before[at + past] - before[at + first]) / (past - first) / 255.0
    duration_ms = offset_ms - onset_ms
    whole = (first > 0) & (past < label.shape[1])
    lasting = (duration_ms >= _SHORTEST_MS[kind]) & (duration_ms <= _LONGEST_MS[kind])
    return Spans(row, kind, onset_ms, offset_ms, confidence, onset_ms)[whole & lasting]


def _bridged(label: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Labels with the short gaps inside one wave filled."""
    filled = label.copy()
    leaves = label[:, :-1] != label[:, 1:]
    for gap in range(1, _BRIDGE_FRAMES + 1):
        before, after = label[:, : -gap - 1], label[:, gap + 1 :]
        row, frame = _where(leaves[:, : before.shape[1]] & (before == after) & (before > 0))
        for step in range(1, gap + 1):
            filled[row, frame + step] = label[row, frame]
    return filled


def _where(true: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Row and place of what is true in (row, place); `numpy.nonzero` takes three times as long where that is little."""
    row, place = np.divmod(np.flatnonzero(true), true.shape[1])
    return row, place


def _runs(label: npt.NDArray[np.uint8]) -> tuple[Ints, Ints, Ints, Ints]:
    """Row, kind, first frame and the frame past the last of every wave, by row and time."""
    padded = np.zeros((label.shape[0], label.shape[1] + 2), dtype=np.uint8)
    padded[:, 1:-1] = label
    row, change = _where(padded[:, 1:] != padded[:, :-1])
    kind = padded[row, change + 1].astype(np.int64)
    starts = np.flatnonzero(kind > 0)
    return row[starts], kind[starts], change[starts], change[starts + 1]


def _boundary_ms(steps: npt.NDArray[np.int8], row: Ints, frame: Ints) -> Floats:
    """Where the six frames around a change of class say that the boundary is: their median."""
    around = within(frame[:, None] + np.arange(-3, 3), 0, steps.shape[1] - 1)  # (wave, 6)
    votes_ms = around * FRAME_MS + steps[row[:, None], around] * OFFSET_STEP_MS
    votes_ms.sort(axis=1)
    return np.asarray((votes_ms[:, 2] + votes_ms[:, 3]) / 2)


def _with_peaks(spans: Spans, rows_mv: npt.NDArray[np.float32], sampling_hz: float) -> Spans:
    """Spans with the place of the largest distance from the chord between their ends, between samples."""
    if len(spans.row) == 0:
        return spans
    step_ms = 1000.0 / sampling_hz
    first = within(np.ceil(spans.onset_ms / step_ms).astype(np.int64), 1, rows_mv.shape[1] - 2)
    last = within(np.floor(spans.offset_ms / step_ms).astype(np.int64), first, rows_mv.shape[1] - 2)
    length = (last - first)[:, None]
    inside = np.minimum(np.arange(length.max() + 1), length)  # (wave, sample)
    begin = spans.row * rows_mv.shape[1] + first
    values = rows_mv.take(begin[:, None] + inside)
    height = inside / np.maximum(length, 1)
    height *= values[:, :1] - values[:, -1:]
    height += values - values[:, :1]
    top = np.abs(height, out=height).argmax(axis=1)
    left, middle, right = (rows_mv.take(begin + top + shift) for shift in (-1, 0, 1))
    top += first
    bend = left - 2 * middle + right
    shift = np.divide(left - right, 2 * bend, out=np.zeros_like(bend), where=np.abs(bend) > 1e-6).clip(-0.5, 0.5)
    peak_ms = np.clip((top + shift) * step_ms, spans.onset_ms, spans.offset_ms)
    return Spans(spans.row, spans.kind, spans.onset_ms, spans.offset_ms, spans.confidence, peak_ms)


def _joined(spans: Spans, starts_ms: Floats, window_ms: float, lead_count: int) -> Spans:
    """Waves of all windows on the recording's clock, `row` now the lead; each from the window it is most central in."""
    window, lead = np.divmod(spans.row, lead_count)
    seams = np.concatenate([[-np.inf], (starts_ms[1:] + starts_ms[:-1] + window_ms) / 2, [np.inf]])
    shift = starts_ms[window]
    times = (spans.onset_ms + shift, spans.offset_ms + shift, spans.confidence, spans.peak_ms + shift)
    moved = Spans(lead, spans.kind, *times)
    middle = (moved.onset_ms + moved.offset_ms) / 2
    own = (middle >= seams[window] - _SEAM_MS) & (middle < seams[window + 1] + _SEAM_MS)
    moved = moved[own]
    return moved[np.lexsort((moved.onset_ms, moved.row))]


def _ordered(spans: Spans) -> Spans:
    """Waves that a heart could make: one at a time, QRS after recovery, a T for a QRS, nothing without a QRS.

    Args:
        spans: by lead and time.
    """
    for _ in range(2):  # dropping one wave may bring two others together
        spans = _without_weaker(spans, np.arange(len(spans.row)), _same_place)
        spans = _without_weaker(spans, np.flatnonzero(spans.kind == QRS), _unrecovered)
    beats = np.bincount(spans.row[spans.kind == QRS], minlength=spans.row.max(initial=0) + 1)
    spans = spans[beats[spans.row] > 0]
    beat = np.cumsum(spans.kind == QRS)
    spans = _without_weaker(spans, np.flatnonzero(spans.kind == T), lambda _, a, b: beat[a] == beat[b])
    return _apart(spans)


def _without_weaker(spans: Spans, chosen: Ints, clash: Callable[[Spans, Ints, Ints], npt.NDArray[np.bool_]]) -> Spans:
    """Spans less the weaker of any two neighbours among the chosen that clash."""
    a, b = chosen[:-1], chosen[1:]
    clashing = (spans.row[a] == spans.row[b]) & clash(spans, a, b)
    strength = spans.confidence * np.sqrt(spans.offset_ms - spans.onset_ms)
    keep = np.ones(len(spans.row), dtype=bool)
    keep[np.where(strength[a] < strength[b], a, b)[clashing]] = False
    return spans[keep]


def _same_place(spans: Spans, a: Ints, b: Ints) -> npt.NDArray[np.bool_]:
    """One wave seen twice, or two that lie more than half in each other."""
    shared_ms = np.minimum(spans.offset_ms[a], spans.offset_ms[b]) - spans.onset_ms[b]
    shorter_ms = np.minimum(spans.offset_ms[a] - spans.onset_ms[a], spans.offset_ms[b] - spans.onset_ms[b])
    return np.asarray(shared_ms > np.where(spans.kind[a] == spans.kind[b], 0.0, shorter_ms / 2))


def _unrecovered(spans: Spans, a: Ints, b: Ints) -> npt.NDArray[np.bool_]:
    return np.asarray(spans.onset_ms[b] - spans.onset_ms[a] < _REFRACTORY_MS)


def _apart(spans: Spans) -> Spans:
    """Spans whose neighbours touch at most: where two overlap a little, each ends in the middle."""
    onset_ms, offset_ms = spans.onset_ms.copy(), spans.offset_ms.copy()
    a = np.flatnonzero((spans.row[:-1] == spans.row[1:]) & (offset_ms[:-1] > onset_ms[1:]))
    offset_ms[a] = onset_ms[a + 1] = (offset_ms[a] + onset_ms[a + 1]) / 2
    peak_ms = np.clip(spans.peak_ms, onset_ms, offset_ms)
    return Spans(spans.row, spans.kind, onset_ms, offset_ms, spans.confidence, peak_ms)


def _by_lead(spans: Spans, leads: Sequence[str]) -> Waves:
    columns = (spans.onset_ms, spans.peak_ms, spans.offset_ms, spans.confidence)
    kinds = [KINDS[kind - 1] for kind in spans.kind.tolist()]
    waves = list(map(Wave, kinds, *(column.tolist() for column in columns)))
    ends = np.searchsorted(spans.row, np.arange(len(leads) + 1)).tolist()
    return {lead: tuple(waves[ends[row] : ends[row + 1]]) for row, lead in enumerate(leads)}
