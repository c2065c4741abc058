"""What a study found: its lines, each a macro AUROC with its interval, as JSON and as a table."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.evaluation.metrics import Figure, figure
from training.evaluation.report import markdown_table

HEAD = ("protocol", "records that taught", "macro AUROC, test", "95 % interval", "published")


@dataclass(frozen=True, eq=False)
class Result:
    """One line of the table.

    Attributes:
        protocol: in words.
        records: that taught what was scored.
        draws: macro AUROC over the superclasses on test, then over its bootstrap draws, (draws + 1,).
        published: what the paper gives for the protocol; None where it gives nothing.
    """

    protocol: str
    records: int
    draws: npt.NDArray[np.float64]
    published: float | None = None

    def said(self) -> dict[str, object]:
        """The line as JSON has it."""
        auroc = asdict(figure(self.draws))
        return {"protocol": self.protocol, "records": self.records, "auroc": auroc, "published": self.published}


def difference(first: Result, second: Result) -> Figure:
    """By how much the first is better, draw by draw: both must be of the same records, drawn by the same seed."""
    return figure(first.draws - second.draws)


def write_results(name: str, results: list[Result], said: object, out: Path, *, apart: Figure | None = None) -> None:
    """What is `said` as `NAME.json`, and the results as the table `NAME.md`, with how far two of them are apart."""
    (out / f"{name}.json").write_text(json.dumps(said, indent=2) + "\n")
    rows = [(one.protocol, str(one.records), *_cells(figure(one.draws)), _text(one.published)) for one in results]
    if apart is not None:
        rows.append(("the first less the second", "-", *_cells(apart), "-"))
    (out / f"{name}.md").write_text("\n".join(markdown_table(HEAD, rows)) + "\n")


def _cells(auroc: Figure) -> tuple[str, str]:
    return _text(auroc.value), f"{_text(auroc.low)} to {_text(auroc.high)}"


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
