"""The answer on the wire: its types for the documentation, and the bytes that are sent."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter
from typing_extensions import TypedDict  # before Python 3.12 pydantic reads no other

from model.bundle import Bundle
from model.engine import Engine
from model.reader import Answer, Part
from model.reading.findings import Finding
from model.reading.measurements import Absent, LeadMeasurements, Measurement
from model.reading.waves import Wave, WaveKind
from model.signal.quality import Code, Verdict

NOTICE = "decision support, to be read by a clinician"


class Wire(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class RecordingBody(Wire):
    """What was received."""

    sampling_hz: float
    """Samples a second, as sent."""
    duration_s: float
    """Seconds from the first sample to one past the last."""
    leads: list[str]
    """Leads as sent, standard names in their standard spelling."""
    windows: int
    """10-s windows that the network saw; their logits are averaged."""
    sha256: str
    """Hash of the body as received."""


class IssueBody(Wire):
    """One thing wrong with the recording."""

    code: Code
    """Stable code."""
    lead: str | None
    """The lead, or null for the whole recording."""


class QualityBody(Wire):
    """Whether the recording can be read."""

    verdict: Verdict
    """`limited`: findings are given with warnings; `unusable`: findings are withheld."""
    issues: list[IssueBody]
    """Everything that is wrong, lead by lead."""


class FindingBody(Wire):
    """One statement about the recording."""

    key: str
    """Stable key."""
    name: str
    """In words."""
    group: Literal["superclass", "statement"]
    """A superclass of PTB-XL, or a diagnostic statement."""
    snomed_ct: str | None
    """SNOMED CT concept; superclasses have none."""
    probability: float
    """Calibrated, 0 to 1."""
    threshold: float
    """Decision threshold on the probability."""
    present: bool
    """Whether the probability reaches the threshold."""


class MeasurementBody(Wire):
    """One number, or why there is none."""

    value: float | None
    """In the unit that its name ends in; null when it could not be measured, never zero in its place."""
    spread: float | None
    """Median absolute deviation over beats, in the same unit; null for what is one number over all beats."""
    leads: int
    """How many leads it rests on."""
    absent: Absent | None
    """Why there is no value: a stable code; null when there is one."""


class LeadMeasurementsBody(Wire):
    """Medians over the beats of one lead; null where a wave is missing or the lead is poor."""

    p_ms: float | None
    """Duration of P in ms."""
    pr_ms: float | None
    """From the onset of P to that of QRS, in ms."""
    qrs_ms: float | None
    """Duration of QRS in ms."""
    qt_ms: float | None
    """From the onset of QRS to the end of T, in ms."""
    r_mv: float | None
    """Height of R above the PR segment, in mV."""
    s_mv: float | None
    """Depth of S after the first R (of QS where there is none) below the PR segment, in mV, as a positive number."""
    st_j_mv: float | None
    """ST level at the J point against the PR segment, in mV."""
    st_j60_mv: float | None
    """ST level 60 ms after the J point, in mV."""


class WaveBody(Wire):
    """One wave; times count from the first sample sent."""

    wave: WaveKind
    """Which wave."""
    onset_ms: float
    """Where it begins, in ms."""
    peak_ms: float
    """Where it deflects most, in ms."""
    offset_ms: float
    """Where it ends, in ms."""
    confidence: float
    """How sure the network is of it, 0 to 1."""


class ModelBody(Wire):
    """What answered."""

    name: str
    """Name of the bundle."""
    version: str
    """Its version."""
    sha256: str
    """Hash of its manifest, which holds the hashes of every file."""
    variant: str
    """The graph that ran."""
    device: str
    """Where it ran: cpu, cuda or tensorrt."""
    thresholds: str
    """Version of calibration and thresholds."""


class AnswerBody(Wire):
    """The answer to one ECG; parts that were not asked for are left out."""

    request_id: str
    """Finds this request in the service's log."""
    recording: RecordingBody
    """What was received."""
    quality: QualityBody
    """Whether it can be read."""
    findings: list[FindingBody] = []
    """In the order of the bundle; empty when the recording is unusable."""
    measurements: dict[str, MeasurementBody] = {}
    """Measurements of the whole recording by name, each measured or absent with a reason: heart_rate_bpm, rr_ms,
    rmssd_ms, sdnn_ms, p_duration_ms, pr_ms, qrs_ms, qt_ms, qtc_bazett_ms, qtc_fridericia_ms, qtc_framingham_ms,
    qtc_hodges_ms, p_axis_deg, qrs_axis_deg, t_axis_deg, sokolow_lyon_mv and cornell_mv."""
    lead_measurements: dict[str, LeadMeasurementsBody] = {}
    """Measurements of each lead, by its name."""
    waves: dict[str, list[WaveBody]] = {}
    """P, QRS and T of each lead in order of time, by its name; a lead without waves has an empty list."""
    embedding: list[float] = []
    """The vector that the findings are computed from, averaged over windows."""
    plot: str = ""
    """The first ten seconds on ECG paper, 25 mm/s and 10 mm/mV, waves shaded: SVG."""
    model: ModelBody
    """What answered."""
    warnings: list[str]
    """Sentences for the reader."""
    notice: str
    """What this answer is."""


class InputBody(Wire):
    """What the network takes; recordings are brought to this."""

    leads: list[str]
    """Leads of a window, in order."""
    sampling_hz: float
    """Samples a second of a window."""
    window_s: float
    """Length of a window in seconds."""
    stride_s: float
    """Seconds from one window of a longer recording to the next."""
    min_duration_s: float
    """Recordings of fewer seconds are refused."""
    patch_samples: int
    """Samples of one token."""
    highpass_hz: float
    """-6 dB point of the filter that removes the baseline, in Hz."""
    lowpass_hz: float
    """-6 dB point of the low-pass, in Hz."""
    clip_mv: float
    """Amplitude in mV beyond which a signal is cut off."""
    sha256: str
    """Hash of all of these."""


class OutputBody(Wire):
    """One statement that the model answers, with its calibration."""

    key: str
    """Stable key."""
    name: str
    """In words."""
    group: Literal["superclass", "statement"]
    """A superclass of PTB-XL, or a diagnostic statement."""
    snomed_ct: str | None
    """SNOMED CT concept."""
    slope: float
    """Multiplies the logit before the sigmoid, in calibration."""
    intercept: float
    """Is added to that."""
    threshold: float
    """Calibrated probability from which on the statement is present."""


class VariantBody(Wire):
    """One graph of the bundle."""

    file: str
    """Its file."""
    sha256: dict[str, str]
    """Hash of every file that it needs."""
    precision: str
    """fp32, fp16 or int8."""
    attention: str
    """Form of Cross-Pattern Attention: masked or factorised."""
    parity: float | None
    """Largest difference of a logit from the network in torch, on real records."""
    metrics: dict[str, float]
    """This variant's own figures."""


class ModelCardBody(ModelBody):
    """Everything public of the bundle that answers."""

    input: InputBody
    """What the network takes."""
    statements: list[OutputBody]
    """In output order."""
    variants: dict[str, VariantBody]
    """Graphs by name."""
    metrics: dict[str, Any]
    """Figures on held-out records, with intervals."""
    data: dict[str, Any]
    """What it was trained on."""
    training: dict[str, Any]
    """How it was trained."""
    code_commit: str
    """Commit of the code that trained it."""
    licences: list[str]
    """Of the data."""
    citations: list[str]
    """Of the data and the method."""


class ProblemBody(Wire):
    """Why there is no answer (RFC 9457)."""

    type: str
    """A name for the kind of problem."""
    title: str
    """The status in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What was got and what was wanted."""
    instance: str
    """This occurrence."""
    code: str
    """Stable code to program against."""
    request_id: str
    """Finds this request in the service's log."""


class _Answer(TypedDict, total=False):
    """What is written, by its types: finding them out object by object takes waves three times as long."""

    request_id: str
    recording: dict[str, Any]
    quality: dict[str, Any]
    findings: list[dict[str, Any]]
    measurements: dict[str, Measurement]
    lead_measurements: dict[str, LeadMeasurements]
    waves: dict[str, tuple[Wave, ...]]
    embedding: list[float]
    plot: str
    model: dict[str, str]
    warnings: tuple[str, ...]
    notice: str


_writer = TypeAdapter(_Answer).serializer


def answer_json(
    answer: Answer, parts: frozenset[Part], *, request_id: str, body_sha256: str, model: dict[str, str]
) -> bytes:
    """The bytes of an answer, as `AnswerBody` describes them; parts that were not asked for are left out."""
    recording = answer.recording
    body: dict[str, object] = {
        "request_id": request_id,
        "recording": {
            "sampling_hz": recording.sampling_hz,
            "duration_s": recording.duration_s,
            "leads": recording.leads,
            "windows": answer.windows,
            "sha256": body_sha256,
        },
        "quality": {"verdict": answer.quality.verdict, "issues": answer.quality.issues},
        "findings": [_finding(one) for one in answer.findings] if "findings" in parts else None,
        "measurements": answer.measurements,
        "lead_measurements": answer.lead_measurements,
        "waves": answer.waves,
        "embedding": None if answer.embedding is None else answer.embedding.tolist(),
        "plot": answer.plot,
        "model": model,
        "warnings": answer.warnings,
        "notice": NOTICE,
    }
    asked = {name: value for name, value in body.items() if value is not None}
    return _writer.to_json(asked, fallback=float, warnings=False)


def model_wire(bundle: Bundle, engine: Engine) -> dict[str, str]:
    """`ModelBody` of what answers."""
    manifest = bundle.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "sha256": bundle.sha256,
        "variant": engine.variant,
        "device": engine.device,
        "thresholds": manifest.thresholds_version,
    }


def _finding(finding: Finding) -> dict[str, object]:
    statement = finding.statement
    return {
        "key": statement.key,
        "name": statement.name,
        "group": statement.group,
        "snomed_ct": statement.snomed_ct,
        "probability": finding.probability,
        "threshold": finding.threshold,
        "present": finding.present,
    }
