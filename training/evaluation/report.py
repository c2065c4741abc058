"""The figures of a scored split as tables in Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.evaluation.figures import Answers, Figures, StatementFigures
from training.evaluation.metrics import Figure


@dataclass(frozen=True, eq=False)
class Report:
    """What was measured, with the answers that it was measured on."""

    headline: dict[str, Any]
    figures: Figures
    answers: Answers
    unusable: tuple[tuple[str, str], ...] = ()


def write_table(report: Report, path: Path) -> None:
    """The figures as Markdown tables."""
    head, figures = report.headline, report.figures
    lines = [
        f"# {head['bundle']} on {head['source']}, {head['split']}",
        "",
        f"{figures.n} records; variant `{head['variant']}` on {head['device']}, thresholds `{head['thresholds']}`, "
        f"protocol {head['protocol']}, leads {', '.join(head['leads']) or 'all'}. "
        "Intervals are 95 % percentile bootstrap, by patient where patients are known, else by record.",
        "",
        *_group_table(figures),
        *_subgroup_table(figures),
    ]
    for group in ("superclass", "statement", "further"):
        rows = [one for one in figures.statements if one.group == group]
        lines += _statement_table(group, rows) if rows else []
    lines += _unusable_table(report.unusable) if report.unusable else []
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _group_table(figures: Figures) -> list[str]:
    rows = [
        (
            *(group.name, str(group.n), str(group.statements)),
            *(_text(group.figures[name]) for name in ("auroc", "auprc", "f1", "ece", "ece_uncalibrated")),
        )
        for group in figures.groups
        if group.statements
    ]
    head = ("macro over", "n", "statements", "AUROC", "AUPRC", "F1", "ECE", "ECE uncalibrated")
    return ["## Groups", "", *markdown_table(head, rows), ""]


def _subgroup_table(figures: Figures) -> list[str]:
    rows = [(one.name, str(one.n), _text(one.auroc)) for one in figures.subgroups]
    return ["## Superclasses by sex and age", "", *markdown_table(("records", "n", "macro AUROC"), rows), ""]


def _statement_table(group: str, statements: Sequence[StatementFigures]) -> list[str]:
    names = ("auroc", "auprc", "f1", "sensitivity", "specificity", "ece", "coverage", "coverage_absent", "set_size")
    rows = [
        (
            *(f"{one.key} {one.name}" if one.counted else f"{one.key} {one.name} (not in the mean)",),
            *(str(one.n), str(one.positives)),
            *(_text(one.figures[name]) for name in names),
        )
        for one in statements
    ]
    head = (
        "statement",
        "n",
        "positives",
        "AUROC",
        "AUPRC",
        "F1",
        "sensitivity",
        "specificity",
        "ECE",
        "coverage at 90 %, with",
        "without",
        "set size",
    )
    return [f"## {group.capitalize()}", "", *markdown_table(head, rows), ""]


def _unusable_table(unusable: Sequence[tuple[str, str]]) -> list[str]:
    return ["## Left out", "", *markdown_table(("record", "reason"), unusable), ""]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    ruler = ["---", *("---:" for _ in head[1:])]
    return [f"| {' | '.join(row)} |" for row in (head, ruler, *rows)]


def _text(figure: Figure) -> str:
    if figure.value is None:
        return "-"
    return f"{figure.value:.3f}" if figure.low is None else f"{figure.value:.3f} ({figure.low:.3f}-{figure.high:.3f})"
