"""What a reader answers, with an engine that says fixed things."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from model.bundle import Bundle, Manifest, Output
from model.engine import Outputs
from model.reader import Answer, Part, Prepared, Reader
from model.reading.findings import Calibration
from model.reading.measurements import MEASUREMENTS
from model.reading.statements import VOCABULARY
from model.reading.waves import Wave, Waves
from model.signal.leads import STANDARD_LEADS
from model.signal.recording import Recording
from model.signal.spec import SPEC
from tests.model.synthetic import beats

ALL_PARTS: frozenset[Part] = frozenset({"findings", "measurements", "waves", "embedding", "plot"})
KEYS = ("NORM", "PACE")


class FixedEngine:
    """Says the window's number in every output."""

    variant = "masked-fp32"
    device = "cpu"

    def run(self, windows: npt.NDArray[np.float32]) -> Outputs:
        """A row a window."""
        rows = np.arange(len(windows), dtype=np.float32)[:, None]
        return Outputs(np.repeat(rows - 1, len(KEYS), axis=1), np.repeat(rows, 4, axis=1), {})


def marked(prepared: Prepared, outputs: Outputs) -> Waves:
    """One QRS in every lead."""
    return {name: (Wave("QRS", 900.0, 950.0, 1000.0, 1.0),) for name in prepared.recording.leads}


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    outputs = tuple(Output(VOCABULARY[key], Calibration()) for key in KEYS)
    manifest = Manifest("test", "1", SPEC, SPEC.sha256(), outputs, "1", {})
    return Reader(Bundle(tmp_path, manifest), FixedEngine(), marked)


def read(reader: Reader, recording: Recording, *parts: Part) -> Answer:
    return reader.read(recording, frozenset(parts) or ALL_PARTS)


def test_every_part_of_a_good_recording_is_answered(reader: Reader) -> None:
    answer = read(reader, beats())
    assert answer.quality.verdict == "good"
    assert [finding.statement.key for finding in answer.findings] == list(KEYS)
    assert answer.measurements is not None
    assert tuple(answer.measurements) == MEASUREMENTS
    assert answer.lead_measurements is not None
    assert set(answer.lead_measurements) == set(STANDARD_LEADS)
    assert answer.waves is not None
    assert len(answer.waves["V1"]) == 1
    assert answer.plot is not None
    assert answer.plot.startswith("<svg")


def test_parts_not_asked_for_are_none_and_their_work_is_not_done(reader: Reader) -> None:
    answer = read(reader, beats(), "findings")
    assert answer.findings
    assert (answer.waves, answer.measurements, answer.lead_measurements) == (None, None, None)
    assert (answer.embedding, answer.plot) == (None, None)


def test_windows_are_averaged(reader: Reader) -> None:
    answer = read(reader, beats(duration_s=20.0))
    assert answer.windows == 3
    assert answer.embedding is not None
    np.testing.assert_allclose(answer.embedding, 1.0)
    assert answer.findings[0].probability == pytest.approx(0.5)


def test_findings_of_an_unusable_recording_are_withheld_and_the_reason_is_said(reader: Reader) -> None:
    flat = Recording(np.zeros((12, 5000), np.float32), 500, STANDARD_LEADS)
    answer = read(reader, flat)
    assert answer.quality.verdict == "unusable"
    assert answer.findings == ()
    assert answer.waves == dict.fromkeys(STANDARD_LEADS, ())
    assert answer.measurements is not None
    assert {one.absent for one in answer.measurements.values()} == {"unusable_recording"}
    assert "withheld" in answer.warnings[0]


def test_padding_is_said(reader: Reader) -> None:
    answer = read(reader, beats(duration_s=6.0))
    assert any("4.0 s of zeros" in warning for warning in answer.warnings)


def test_a_dead_lead_is_named_and_findings_are_given(reader: Reader) -> None:
    recording = beats()
    recording.signal_mv[recording.leads.index("V3")] = 0.0
    answer = read(reader, recording)
    assert answer.quality.verdict == "limited"
    assert answer.findings
    assert any("V3" in warning for warning in answer.warnings)


def test_a_poor_lead_has_no_waves(reader: Reader) -> None:
    recording = beats()
    recording.signal_mv[recording.leads.index("V3")] = np.random.default_rng(0).normal(0, 0.3, 5000)
    answer = read(reader, recording)
    assert answer.waves is not None
    assert answer.waves["V3"] == ()
    assert answer.waves["V4"] != ()


def test_what_the_decoder_saw_is_said(reader: Reader) -> None:
    good = beats()
    answer = read(reader, Recording(good.signal_mv, 500, good.leads, notes=("checksum_mismatch",)))
    assert any("checksum" in warning for warning in answer.warnings)


def test_pacing_is_said(reader: Reader) -> None:
    answer = read(reader, beats(duration_s=40.0))
    assert any("paced" in warning for warning in answer.warnings)


def test_a_second_opinion_warns_and_adds_no_field(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def wider(prepared: Prepared) -> Waves:
        return {name: (Wave("QRS", 880.0, 950.0, 1020.0, 1.0),) for name in prepared.recording.leads}

    monkeypatch.setattr("model.reader.delineate_classically", wider)
    answer = read(reader, beats(), "findings", "second_opinion")
    assert answer.measurements is None
    assert answer.waves is None
    assert "QRS: 100 ms here, 140 ms by the classical method; check it." in answer.warnings
    assert not any("classical" in one for one in read(reader, beats()).warnings)


def test_an_answer_stands_without_its_second_opinion(reader: Reader) -> None:
    prepared = reader.prepare(beats())
    outputs = reader.engine.run(prepared.windows.signal_mv)
    answer = reader.answer(prepared, outputs, frozenset({"measurements", "second_opinion"}), classical=None)
    assert answer.measurements is not None
    assert answer.measurements["qrs_ms"].value == 100.0
    assert any("no second opinion" in one for one in answer.warnings)


def test_an_unusable_recording_has_no_second_opinion(reader: Reader) -> None:
    flat = Recording(np.zeros((12, 5000), np.float32), 500.0, STANDARD_LEADS)
    assert not any("second opinion" in one for one in read(reader, flat, "findings", "second_opinion").warnings)


def test_findings_that_exclude_each_other_are_said(reader: Reader) -> None:
    answer = read(reader, beats(duration_s=40.0))
    assert all(finding.present for finding in answer.findings)
    assert "Normal ECG is found beside pacing rhythm; only one can hold." in answer.warnings
