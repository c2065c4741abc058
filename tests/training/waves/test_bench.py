"""The benchmark of waves: who reads which record, the table, and pictures on ECG paper."""

import struct
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from model.nn.waves import TwelveLeadHead, WaveHeadConfig, WaveNet
from model.reading.waves import Waves
from model.signal.leads import STANDARD_LEADS
from model.signal.recording import Recording
from tests.model.synthetic import beat_waves, beats, r_peaks_ms
from training.errors import TrainingError
from training.running.checkpoint import write_checkpoint
from training.sources.ludb import KINDS, MarkedRecord, Marks
from training.waves.bench import MethodFigures, delineate_with, run, table_of
from training.waves.groups import group_figures, sped_up, table_of_groups
from training.waves.metrics import boundary_figures, false_p_waves, global_gaps_ms, interval_figures
from training.waves.pictures import write_picture
from training.waves.train import FOLDS, HEAD, fold_folder, folds

SHAPE = WaveHeadConfig(widths=(4, 6))


def record() -> MarkedRecord:
    """Simulated beats with the waves that were drawn."""
    waves = beat_waves(r_peaks_ms())["II"]
    marks = Marks(
        np.array([KINDS.index(wave.wave) for wave in waves]),
        np.array([wave.onset_ms for wave in waves]) / 1000,
        np.array([wave.peak_ms for wave in waves]) / 1000,
        np.array([wave.offset_ms for wave in waves]) / 1000,
        (waves[0].onset_ms / 1000, waves[-1].offset_ms / 1000),
    )
    return MarkedRecord("1", beats(), (marks,) * len(STANDARD_LEADS))


def figures() -> MethodFigures:
    records, found = [record()], [beat_waves(r_peaks_ms())]
    return MethodFigures(
        boundary_figures(records, found),
        interval_figures(records, found),
        global_gaps_ms(records, found),
        false_p_waves(records, found),
        12.0,
    )


def test_an_untrained_head_answers_for_every_lead() -> None:
    found = delineate_with(TwelveLeadHead(WaveNet(SHAPE).eval()), beats())
    assert tuple(found) == STANDARD_LEADS


def test_the_table_has_a_column_a_method() -> None:
    lines = table_of({"ours": figures(), "theirs": figures()}).splitlines()
    assert lines[0] == "|  | ours | theirs |"
    assert "| QRS onset: F1 %, ms | 100.0, +0.0 ± 0.0 | 100.0, +0.0 ± 0.0 |" in lines
    assert lines[-1] == "| ms per record | 12 | 12 |"


def test_a_picture_is_as_large_as_its_paper(tmp_path: Path) -> None:
    write_picture(record(), beat_waves(r_peaks_ms()), tmp_path / "1.png")
    wide, high = struct.unpack(">II", (tmp_path / "1.png").read_bytes()[16:24])
    assert wide == pytest.approx(250 / 25.4 * 110, abs=1)
    assert high == pytest.approx(300 / 25.4 * 110, abs=1)


def test_each_record_is_read_by_the_head_that_never_saw_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 7
    for fold in range(FOLDS):
        state = WaveNet(SHAPE).state_dict()
        state["out.bias"].fill_(fold)
        write_checkpoint(fold_folder(tmp_path, fold) / HEAD, {"config": asdict(SHAPE), "state": state})
    seen: list[int] = []

    def answer(head: TwelveLeadHead, _: Recording) -> Waves:
        seen.append(round(float(head.net.state_dict()["out.bias"][0])))
        return {}

    monkeypatch.setattr("training.waves.bench.read_ludb", lambda _: [record()] * count)
    monkeypatch.setattr("training.waves.bench.second_opinion.delineate", lambda _, **__: {})
    monkeypatch.setattr("training.waves.bench.delineate_with", answer)
    run(tmp_path, out=tmp_path / "out", waves=tmp_path, pictures=0)
    by_record = {int(row): fold for fold, (_, kept) in enumerate(folds(count)) for row in kept}
    expected = [by_record[row] for row in range(count)]
    thrice = [fold for fold in expected for _ in range(3)]  # what was made of a record is read by its head too
    assert seen[1:] == [*expected, *expected, *thrice]
    assert (tmp_path / "out" / "report.md").is_file()


def test_nothing_to_judge_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.waves.bench.read_ludb", lambda _: [record()])
    with pytest.raises(TrainingError, match="a bundle, or both"):
        run(tmp_path, out=tmp_path / "out")


def test_figures_come_by_rate_and_rhythm() -> None:
    found = beat_waves(r_peaks_ms())
    plain, none = record(), beat_waves(r_peaks_ms(), ("QRS", "T"))
    all_, kept = plain.marks[0], plain.marks[0].kind > 0
    marks = Marks(all_.kind[kept], all_.onset_s[kept], all_.peak_s[kept], all_.offset_s[kept], all_.span_s)
    fibrillating = replace(plain, marks=(marks,) * 12, rhythm=frozenset({"fibrillation"}))
    figures = group_figures([plain, fibrillating, fibrillating], [found, found, none])
    assert {name: one.records for name, one in figures.items()} == {
        "60 to 80 /min": 3,
        "sinus": 1,
        "fibrillation, no P marked": 2,
    }
    assert figures["sinus"].boundaries["P onset"].f1 == 100.0
    assert figures["sinus"].below_one is None
    assert (figures["fibrillation, no P marked"].p_waves, figures["fibrillation, no P marked"].below_one) == (6.0, 0.5)
    assert len(table_of_groups(figures).splitlines()) == 5


def test_a_record_that_is_sped_up_keeps_its_marks_on_its_waves() -> None:
    faster = sped_up(record(), 1.5)
    assert faster.recording.duration_s == pytest.approx(10.0 / 1.5)
    peaks_s = faster.marks[1].of("QRS").peak_s
    at = np.rint(peaks_s * faster.recording.sampling_hz).astype(int)
    np.testing.assert_allclose(at, np.rint(r_peaks_ms() / 2), atol=1)
    assert list(group_figures([faster], [beat_waves(r_peaks_ms() / 1.5)])) == ["100 to 130 /min", "sinus"]
