"""A marked record on ECG paper with the waves found below each lead's trace and the cardiologists' above it."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.reading.waves import Wave, WaveKind, Waves
from training.sources.ludb import MarkedRecord
from training.waves.metrics import marked_waves

MM_PER_S, MM_PER_MV, INCH_MM = 25.0, 10.0, 25.4
LEAD_MM = 25.0
COLOURS: dict[WaveKind, str] = {"P": "#2b7a3d", "QRS": "#1f4e79", "T": "#c05621"}
PAPER, FINE = "#e8a5a5", "#f7dede"


def write_picture(record: MarkedRecord, found: Waves, path: Path) -> None:
    """Write a PNG at 25 mm/s and 10 mm/mV when printed at its size; found waves filled, marks as lines above."""
    leads = record.recording.leads
    wide_mm, high_mm = record.recording.duration_s * MM_PER_S, LEAD_MM * len(leads)
    figure = Figure(figsize=(wide_mm / INCH_MM, high_mm / INCH_MM), dpi=110)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, wide_mm), ylim=(-high_mm, 0), aspect="equal")
    _draw_paper(axes, wide_mm, high_mm)
    truth = marked_waves(record)
    for row, lead in enumerate(leads):
        middle_mm = -LEAD_MM * (row + 0.5)
        trace_mv = record.recording.signal_mv[row] - np.median(record.recording.signal_mv[row])
        time_mm = np.arange(len(trace_mv)) / record.recording.sampling_hz * MM_PER_S
        axes.plot(time_mm, middle_mm + trace_mv * MM_PER_MV, color="black", linewidth=0.6)
        axes.text(1.0, middle_mm + 8.5, lead, fontsize=9, weight="bold", va="center")
        _draw_waves(axes, truth[lead], middle_mm + 10.0, marked=True)
        _draw_waves(axes, found.get(lead, ()), middle_mm - 11.0, marked=False)
    figure.savefig(path)


def _draw_paper(axes: Axes, wide_mm: float, high_mm: float) -> None:
    axes.set_axis_off()
    for step_mm, colour, width in ((1.0, FINE, 0.3), (5.0, PAPER, 0.5)):
        axes.vlines(np.arange(0, wide_mm + 1, step_mm), -high_mm, 0, color=colour, linewidth=width, zorder=0)
        axes.hlines(-np.arange(0, high_mm + 1, step_mm), 0, wide_mm, color=colour, linewidth=width, zorder=0)


def _draw_waves(axes: Axes, waves: tuple[Wave, ...], height_mm: float, *, marked: bool) -> None:
    for wave in waves:
        start_mm, end_mm = (edge_ms / 1000 * MM_PER_S for edge_ms in (wave.onset_ms, wave.offset_ms))
        width = 1.2 if marked else 3.0
        axes.hlines(height_mm, start_mm, end_mm, color=COLOURS[wave.wave], linewidth=width)
        if marked:
            axes.vlines((start_mm, end_mm), height_mm - 1.0, height_mm + 0.5, color=COLOURS[wave.wave], linewidth=0.8)
