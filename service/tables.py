"""An answer as a table for a terminal."""

from collections.abc import Iterator

from service.schemas import AnswerBody, FindingBody, MeasurementBody

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
