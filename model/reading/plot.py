"""A recording on ECG paper as SVG text: 25 mm/s, 10 mm/mV, the waves marked.

Twelve leads are laid out as a cart prints them, four columns of 2.5 s by three rows above a rhythm strip of lead II;
any other set of leads, one a row. Units of the drawing are millimetres of paper.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.reading.waves import WaveKind, Waves
from model.signal.leads import STANDARD_LEADS, known_leads
from model.signal.recording import Recording

MM_PER_S, MM_PER_MV = 25.0, 10.0  # AHA/ACC/HRS part I, 2007: the usual paper speed and gain
COLUMNS = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))
RHYTHM = "II"
PAPER_S = 10.0
ROW_MM, MARGIN_MM, LABEL_MM = 30.0, 5.0, 3.5
REACH_MM = ROW_MM / 2 + MARGIN_MM  # a deflection may enter the next row, and no further
DRAWN_HZ = 250.0
COLOURS: dict[WaveKind, str] = {"P": "#1f77b4", "QRS": "#d62728", "T": "#2ca02c"}
STYLE = (
    ".fine{stroke:#f6d5d5;stroke-width:.1}.bold{stroke:#e9a9a9;stroke-width:.2}"
    ".trace{fill:none;stroke:#111;stroke-width:25;stroke-linejoin:round}"
    "text{font-family:sans-serif;font-size:3.5px;fill:#111}"
)


@dataclass(frozen=True)
class _Strip:
    """A stretch of one lead at its place on the paper.

    Attributes:
        lead: its name.
        from_s: where the stretch begins.
        to_s: where it ends.
        left_mm: its left edge.
        zero_mm: height of its baseline.
    """

    lead: str
    from_s: float
    to_s: float
    left_mm: float
    zero_mm: float


def plot_svg(recording: Recording, waves: Waves) -> str:
    """The first ten seconds drawn on millimetre paper, with no text besides the names of leads and the scale.

    Args:
        recording: any leads.
        waves: shaded under the trace, P blue, QRS red, T green.
    """
    known = known_leads(recording.signal_mv, recording.leads)
    strips = _layout(known, min(recording.duration_s, PAPER_S))
    width = 2 * MARGIN_MM + MM_PER_S * PAPER_S
    height = 2 * MARGIN_MM + ROW_MM * len({strip.zero_mm for strip in strips})
    drawn = [part for strip in strips for part in _strip(strip, known[strip.lead], recording.sampling_hz, waves)]
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            f'width="{width:g}mm" height="{height:g}mm" role="img" aria-label="ECG, 25 mm/s, 10 mm/mV">',
            f"<style>{STYLE}</style>",
            *_paper(width, height),
            *drawn,
            f'<text x="{MARGIN_MM:g}" y="{height - 1:g}">25 mm/s, 10 mm/mV</text>',
            "</svg>",
        ]
    )


def _layout(known: dict[str, npt.NDArray[np.float32]], duration_s: float) -> list[_Strip]:
    """Where each lead goes: the clinic's format for twelve, else a row each."""
    if not set(STANDARD_LEADS) <= known.keys():
        rows = list(known)
        return [_Strip(lead, 0.0, duration_s, MARGIN_MM, _zero_mm(row)) for row, lead in enumerate(rows)]
    step_s = duration_s / len(COLUMNS)
    strips = [
        _Strip(lead, column * step_s, (column + 1) * step_s, MARGIN_MM + column * step_s * MM_PER_S, _zero_mm(row))
        for column, leads in enumerate(COLUMNS)
        for row, lead in enumerate(leads)
    ]
    return [*strips, _Strip(RHYTHM, 0.0, duration_s, MARGIN_MM, _zero_mm(len(COLUMNS[0])))]


def _zero_mm(row: int) -> float:
    return MARGIN_MM + ROW_MM * (row + 0.5)


def _paper(width: float, height: float) -> Iterator[str]:
    """Lines every millimetre, and bolder ones every five, as one path each."""
    yield f'<rect width="{width:g}" height="{height:g}" fill="#fffafa"/>'
    for name, step in (("fine", 1), ("bold", 5)):
        upright = "".join(f"M{x} 0V{height:g}" for x in range(0, int(width) + 1, step))
        level = "".join(f"M0 {y}H{width:g}" for y in range(0, int(height) + 1, step))
        yield f'<path class="{name}" d="{upright}{level}"/>'


def _strip(strip: _Strip, lead_mv: npt.NDArray[np.float32], sampling_hz: float, waves: Waves) -> Iterator[str]:
    """Marks, trace and name of one strip, in the order in which they lie on the paper."""
    yield from _marks(strip, waves)
    yield f'<path class="trace" transform="scale(.01)" d="{_trace(strip, lead_mv, sampling_hz)}"/>'
    yield f'<text x="{strip.left_mm + 1:g}" y="{strip.zero_mm - ROW_MM / 2 + LABEL_MM:g}">{_label(strip.lead)}</text>'


def _marks(strip: _Strip, waves: Waves) -> Iterator[str]:
    """A bar under the trace from the onset to the offset of each wave of the strip."""
    for wave in waves.get(strip.lead, ()):
        onset_s, offset_s = max(wave.onset_ms / 1000, strip.from_s), min(wave.offset_ms / 1000, strip.to_s)
        if offset_s > onset_s:
            left = strip.left_mm + (onset_s - strip.from_s) * MM_PER_S
            yield (
                f'<rect x="{left:.2f}" y="{strip.zero_mm - ROW_MM / 2 + 5:g}" '
                f'width="{(offset_s - onset_s) * MM_PER_S:.2f}" height="{ROW_MM - 7:g}" '
                f'fill="{COLOURS[wave.wave]}" fill-opacity=".15"><title>{wave.wave}</title></rect>'
            )


def _trace(strip: _Strip, lead_mv: npt.NDArray[np.float32], sampling_hz: float) -> str:
    """The path of the stretch in hundredths of a millimetre, its median on the baseline, what reaches too far cut."""
    first, last = round(strip.from_s * sampling_hz), round(strip.to_s * sampling_hz)
    step = max(1, round(sampling_hz / DRAWN_HZ))
    shown = lead_mv[first:last:step]
    x_mm = strip.left_mm + np.arange(len(shown)) * step / sampling_hz * MM_PER_S
    y_mm = strip.zero_mm - np.clip((shown - np.median(shown)) * MM_PER_MV, -REACH_MM, REACH_MM)
    points = np.round(np.stack([x_mm, y_mm], axis=1) * 100).astype(np.int64)
    return "M" + " ".join(map(str, points.ravel().tolist()))


def _label(name: str) -> str:
    """A standard name as it is; any other as `lead`, for it may say more than a lead's name."""
    return name if name in STANDARD_LEADS else "lead"
