"""The classical delineation finds beats where there are some, and nothing where there are none."""

import pickle
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from model.reading.measurements import Measurement
from model.reading.measuring import measure
from model.reading.second_opinion import RATE_HZ, _clean, delineate, delineate_classically, second_opinion_cautions
from model.reading.waves import Waves
from model.signal.leads import STANDARD_LEADS
from model.signal.quality import check_quality
from model.signal.recording import Recording
from tests.model.synthetic import Truth, beats, r_peaks_ms

WHITE = np.random.default_rng(4).normal(0.0, 0.3, (12, 5000))
TIMES_S = np.arange(5000) / 500


@dataclass(frozen=True)
class Ready:
    recording: Recording


@pytest.fixture(scope="module")
def plain() -> tuple[Recording, Waves]:
    recording = beats()
    return recording, delineate(recording)


def test_the_beats_that_were_drawn_are_found_in_every_lead(plain: tuple[Recording, Waves]) -> None:
    for lead in STANDARD_LEADS:
        found = [(wave.onset_ms + wave.offset_ms) / 2 for wave in plain[1][lead] if wave.wave == "QRS"]
        near = [min(abs(one - peak) for one in found) < 60 for peak in r_peaks_ms()[1:-1]]
        assert np.mean(near) >= 0.9, lead


def test_waves_are_whole_and_in_a_hearts_order(plain: tuple[Recording, Waves]) -> None:
    for found in plain[1].values():
        assert all(0 <= wave.onset_ms < wave.peak_ms < wave.offset_ms <= 10_000 for wave in found)
        assert all(one.offset_ms <= other.onset_ms for one, other in pairwise(found))
        assert all(0 <= wave.confidence <= 1 for wave in found)


def test_measurements_from_it_are_near_what_was_drawn(plain: tuple[Recording, Waves]) -> None:
    recording, waves = plain
    measured, _ = measure(recording, waves, check_quality(recording))
    truth = Truth()
    assert measured["heart_rate_bpm"].value == pytest.approx(75.0, abs=0.5)
    assert measured["qrs_ms"].value == pytest.approx(truth.qrs_ms, abs=30)
    assert measured["qt_ms"].value == pytest.approx(truth.qt_ms, abs=45)
    assert measured["pr_ms"].value == pytest.approx(truth.pr_ms, abs=30)


NOTHING = {
    "zeros": np.zeros((12, 5000)),
    "independent noise": WHITE,
    "the same noise in all leads": np.repeat(WHITE[:1], 12, axis=0),
    "random walks": np.cumsum(0.1 * WHITE, axis=1),
    "a sine": np.repeat(np.sin(2 * np.pi * 1.2 * TIMES_S)[None], 12, axis=0),
    "clipped to a square": np.clip(100 * beats().signal_mv, -2.0, 2.0),
    "one lead of noise": WHITE[:1],
    "two leads of noise": WHITE[:2],
    "one flat lead": np.zeros((1, 5000)),
    "one sample": np.zeros((12, 1)),
    "a tenth of a second": WHITE[:, :50],
}


@pytest.mark.parametrize("name", NOTHING)
def test_where_there_is_no_heart_no_wave_is_found(name: str) -> None:
    signal_mv = NOTHING[name].astype(np.float32)
    waves = delineate(Recording(signal_mv, 500, STANDARD_LEADS[: len(signal_mv)]))
    assert not any(waves.values())


def test_a_lead_of_noise_among_good_ones_has_no_waves() -> None:
    recording = beats()
    recording.signal_mv[8] = WHITE[8]
    waves = delineate(recording)
    assert waves["V3"] == ()
    assert waves["V4"] != ()


def test_fibrillating_atria_show_no_p_wave() -> None:
    rng = np.random.default_rng(5)
    peaks = 400 + np.cumsum(rng.uniform(450, 1000, 12))
    recording = beats(peaks_ms=peaks[peaks < 9600])
    turns = 2 * np.pi * np.array([[5.3], [6.1], [7.4]]) * TIMES_S + np.array([[0.1], [2.0], [4.0]])
    quiver = 0.06 * np.sin(turns).sum(axis=0)
    row = {lead: at for at, lead in enumerate(recording.leads)}
    bare = recording.signal_mv.copy()
    for peak in peaks[peaks < 9600]:  # the drawn P waves are taken out
        span = slice(round((peak - 215) / 2), round((peak - 105) / 2))
        bare[:, span] = bare[:, span.start : span.start + 1]
    waves = delineate(Recording(bare + quiver.astype(np.float32), 500, recording.leads))
    counts = [sum(wave.wave == "P" for wave in waves[lead]) for lead in row]
    assert np.median(counts) < 1


def test_leads_by_any_name_and_of_any_number_are_delineated() -> None:
    plain = beats()
    waves = delineate(Recording(plain.signal_mv[[1, 10]], 500, ("MLII", "ECG 2")))
    assert set(waves) == {"MLII", "ECG 2"}
    assert all(waves.values())


def test_marks_as_they_are_may_miss_bounds_and_are_not_judged() -> None:
    noise = Recording(WHITE[:2].astype(np.float32), 500, ("I", "V2"))
    assert any(delineate(noise, whole=False).values())
    assert delineate(Recording(np.zeros((1, 5000), np.float32), 500, ("V2",)), whole=False) == {"V2": ()}


def test_all_leads_at_once_are_cleaned_as_neurokit2_cleans_one() -> None:
    import neurokit2

    row = STANDARD_LEADS.index("V2")
    one = neurokit2.ecg_clean(beats().signal_mv[row], sampling_rate=RATE_HZ)
    np.testing.assert_allclose(_clean(beats().signal_mv)[row], one, atol=1e-6)


def test_as_a_delineator_it_takes_what_a_reader_prepared_and_can_be_sent_to_a_process(
    plain: tuple[Recording, Waves],
) -> None:
    sent = pickle.loads(pickle.dumps(delineate_classically))  # noqa: S301 - our own function
    assert sent(Ready(plain[0]), None) == plain[1]


@pytest.mark.parametrize(("qrs_ms", "qt_ms", "said"), [(121.0, 441.0, 2), (119.0, 439.0, 0), (None, 441.0, 2)])
def test_differences_over_20_ms_of_qrs_and_40_ms_of_qt_are_said(qrs_ms: float | None, qt_ms: float, said: int) -> None:
    ours = {"qrs_ms": Measurement(100.0), "qt_ms": Measurement(400.0)}
    classical = {"qrs_ms": Measurement(qrs_ms), "qt_ms": Measurement(qt_ms)}
    assert len(list(second_opinion_cautions(ours, classical))) == said
