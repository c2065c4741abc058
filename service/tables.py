"""An answer as a table for a terminal, or as a row of one for a spreadsheet."""

import csv
import io
from collections.abc import Iterator, Sequence

from model.reading.measurements import MEASUREMENTS
from model.reading.statements import VOCABULARY
from service.schemas import AnswerBody, FindingBody, MeasurementBody

COLUMNS = ("path", "problem", "quality", "present", *MEASUREMENTS, *VOCABULARY)
"""Of CSV: the name, why there is no answer, the verdict, keys of what is present, measurements, probabilities."""

UNITS = {"ms": "ms", "bpm": "bpm", "deg": "°", "mv": "mV"}


def answer_table(answer: AnswerBody, name: str) -> str:
    """What a person reads first: quality, findings that are present, the others by probability, measurements."""
    lines = [_head(answer, name), *_findings(answer.findings), *_measurements(answer.measurements)]
    lines += [f"  ! {warning}" for warning in answer.warnings]
    lines.append(f"  {answer.model.name} {answer.model.version} ({answer.model.variant}): {answer.notice}")
    return "\n".join(lines)


def _head(answer: AnswerBody, name: str) -> str:
    recording = answer.recording
    size = f"{len(recording.leads)} leads, {recording.sampling_hz:g} Hz, {recording.duration_s:g} s"
    return f"{name}: {size}, quality {answer.quality.verdict}"


def _findings(findings: list[FindingBody]) -> Iterator[str]:
    """Present ones first, each group by probability."""
    for finding in sorted(findings, key=lambda one: (not one.present, -one.probability)):
        mark = "+" if finding.present else " "
        numbers = f"{finding.probability:6.3f}  (threshold {finding.threshold:.3f})"
        yield f"  {mark} {finding.name:48} {numbers}  {finding.snomed_ct or finding.group}"


def _measurements(measurements: dict[str, MeasurementBody]) -> Iterator[str]:
    for name, one in measurements.items():
        words, _, unit = name.rpartition("_")
        if one.value is None:
            told = f"     -  ({(one.absent or 'absent').replace('_', ' ')})"
        else:
            spread = "" if one.spread is None else f" ± {one.spread:.3g}"
            told = f"{one.value:8.4g} {UNITS[unit]}{spread}"
        yield f"    {words.replace('_', ' '):48} {told}"


def csv_row(name: str, answer: AnswerBody | None, *, problem: str = "") -> str:
    """The line of one ECG under `CSV_HEADER`; what is not known is empty."""
    cells: dict[str, object] = {"path": name, "problem": problem}
    if answer is not None:
        cells["quality"] = answer.quality.verdict
        cells["present"] = " ".join(one.key for one in answer.findings if one.present)
        cells |= {key: one.value for key, one in answer.measurements.items()}
        cells |= {one.key: round(one.probability, 4) for one in answer.findings}
    return _csv_line([cells.get(column) for column in COLUMNS])


def _csv_line(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


CSV_HEADER = _csv_line(COLUMNS)
