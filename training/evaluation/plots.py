"""The figures of a scored split as pictures: ROC, precision-recall and reliability a statement, and all intervals."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from sklearn.metrics import precision_recall_curve, roc_curve

from training.evaluation.figures import Answers, Figures
from training.evaluation.metrics import reliability
from training.evaluation.report import Report

INK, SECOND, FAINT = "#1f4e79", "#c05621", "#9aa5b1"


def write_plots(report: Report, folder: Path) -> None:
    """PNG files: intervals of every statement, and one panel a statement of ROC, precision-recall and reliability."""
    _intervals(report.figures).savefig(folder / "auroc.png", dpi=110)
    groups = {"superclass": ("superclass",), "statements": ("statement", "further")}
    drawings = {"roc": _draw_roc, "precision_recall": _draw_precision_recall, "reliability": _draw_reliability}
    for group, members in groups.items():
        columns = [
            at for at, one in enumerate(report.figures.statements) if one.group in members and 0 < one.positives < one.n
        ]
        for name, draw in drawings.items() if columns else ():
            _panels(report, columns, draw).savefig(folder / f"{group}_{name}.png", dpi=110)


Draw = Callable[[Axes, Answers, int], None]


def _panels(report: Report, columns: Sequence[int], draw: Draw) -> Canvas:
    """A figure with one panel a statement."""
    wide = min(5, len(columns))
    high = -(-len(columns) // wide)
    canvas = Canvas(figsize=(2.6 * wide, 2.75 * high + 0.2), layout="constrained")
    axes = canvas.subplots(high, wide, squeeze=False).ravel()
    for at, panel in enumerate(axes):
        if at >= len(columns):
            panel.set_axis_off()
            continue
        one = report.figures.statements[columns[at]]
        draw(panel, report.answers, columns[at])
        panel.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        panel.tick_params(labelsize=8)
        panel.set_title(f"{one.key}, {one.positives} of {one.n}", fontsize=9)
    return canvas


def _known(answers: Answers, column: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int8]]:
    """Rows whose label is known, and those labels."""
    known = answers.labels[:, column] >= 0
    return known, answers.labels[known, column]


def _draw_roc(panel: Axes, answers: Answers, column: int) -> None:
    known, labels = _known(answers, column)
    wrong, found, _ = roc_curve(labels, answers.scores[known, column])
    panel.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle="--")
    panel.plot(wrong, found, color=INK, linewidth=1.5)
    panel.set_xlabel("1 - specificity", fontsize=8)
    panel.set_ylabel("sensitivity", fontsize=8)


def _draw_precision_recall(panel: Axes, answers: Answers, column: int) -> None:
    known, labels = _known(answers, column)
    precision, recall, _ = precision_recall_curve(labels, answers.scores[known, column])
    panel.axhline(float(labels.mean()), color=FAINT, linewidth=0.8, linestyle="--")
    panel.step(recall, precision, where="post", color=INK, linewidth=1.5)
    panel.set_xlabel("recall", fontsize=8)
    panel.set_ylabel("precision", fontsize=8)


def _draw_reliability(panel: Axes, answers: Answers, column: int) -> None:
    known, labels = _known(answers, column)
    panel.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle="--")
    for name, values, colour in (("before", answers.raw, SECOND), ("calibrated", answers.probabilities, INK)):
        said, seen, count = reliability(values[known, column], labels)
        panel.plot(said, seen, color=colour, linewidth=1.0, label=name)
        panel.scatter(said, seen, s=4 + 40 * count / count.max(), color=colour)
    panel.set_xlabel("probability", fontsize=8)
    panel.set_ylabel("share of positives", fontsize=8)
    panel.legend(fontsize=7, frameon=False, loc="upper left")


def _intervals(figures: Figures) -> Canvas:
    """AUROC of every statement and group with its interval, best on top."""
    rows = [(one.key, one.figures["auroc"], SECOND if one.group == "superclass" else INK) for one in figures.statements]
    rows.sort(key=lambda row: row[1].value or 0.0)
    rows += [(f"mean {one.name}", one.figures["auroc"], "black") for one in figures.groups if one.statements]
    canvas = Canvas(figsize=(6.5, 0.24 * len(rows) + 0.8), layout="constrained")
    panel = canvas.subplots()
    for at, (_, auroc, colour) in enumerate(rows):
        if auroc.value is None:
            continue
        if auroc.low is not None and auroc.high is not None:
            panel.plot([auroc.low, auroc.high], [at, at], color=colour, linewidth=1.5)
        panel.scatter([auroc.value], [at], color=colour, s=18, zorder=3)
    panel.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=8)
    panel.set_ylim(-0.7, len(rows) - 0.3)
    panel.set_xlabel("AUROC, 95 % interval")
    panel.grid(axis="x", color=FAINT, linewidth=0.4)
    return canvas
