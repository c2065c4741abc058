"""Wave outputs to waves: boundaries between frames, seams of windows, order, and silence where there is no heart."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from model.reading.delineation import (
    FRAME_MS,
    MARGIN_MS,
    OFFSET_STEP_MS,
    Delineation,
    WaveOutputs,
    delineate,
    twelve_leads,
)
from model.reading.spans import Floats, Spans
from model.reading.waves import Wave, Waves
from model.signal.leads import MODEL_LEADS, STANDARD_LEADS

HZ = 250.0
FRAMES, SAMPLES = 1250, 2500
BEAT = (("P", -200.0, -100.0), ("QRS", -40.0, 50.0), ("T", 180.0, 340.0))
CODES = {"P": 1, "QRS": 2, "T": 3}


def outputs_of(waves: list[tuple[str, float, float]], confidence: float = 1.0) -> WaveOutputs:
    """What a head would say of one window of one lead with these waves (kind, onset, offset in ms).

    A head's waves are by a margin narrower than the cardiologists' outermost.
    """
    waves = [(kind, on + MARGIN_MS[CODES[kind], 0], off - MARGIN_MS[CODES[kind], 1]) for kind, on, off in waves]
    times_ms = np.arange(FRAMES) * FRAME_MS
    label = np.zeros(FRAMES, dtype=np.uint8)
    distance = np.full((2, FRAMES), 127, dtype=np.int8)
    for kind, onset_ms, offset_ms in waves:
        label[(times_ms >= onset_ms) & (times_ms < offset_ms)] = CODES[kind]
        for row, end_ms in enumerate((onset_ms, offset_ms)):
            near = np.abs(times_ms - end_ms) < 40.0
            distance[row, near] = np.round((end_ms - times_ms[near]) / OFFSET_STEP_MS)
    probability = np.full(FRAMES, round(255 * confidence), dtype=np.uint8)
    return WaveOutputs(label[None, None], probability[None, None], distance[None, None])


def stacked(*parts: WaveOutputs, axis: int) -> WaveOutputs:
    return WaveOutputs(
        np.concatenate([part.label for part in parts], axis),
        np.concatenate([part.probability for part in parts], axis),
        np.concatenate([part.distance for part in parts], axis),
    )


def beats(*r_ms: float) -> list[tuple[str, float, float]]:
    return [(kind, r + onset, r + offset) for r in r_ms for kind, onset, offset in BEAT]


def signal(seed: int = 0, leads: int = 1, windows: int = 1) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 0.1, (windows, leads, SAMPLES)).astype(np.float32)


def surely(spans: Spans, rows_mv: npt.NDArray[np.float32], sampling_hz: float) -> Floats:
    """A heart in every row: these tests are of what is made of the network's outputs, `test_heart` of hearts."""
    del spans, sampling_hz
    return np.full(len(rows_mv), 9.0)


def decoded(
    outputs: WaveOutputs,
    windows_mv: npt.NDArray[np.float32],
    leads: tuple[str, ...] = ("II",),
    *,
    starts_s: tuple[float, ...] = (0.0,),
    duration_s: float = 10.0,
) -> Waves:
    delineation = Delineation(leads, HZ, surely)
    delineation.add(outputs, windows_mv, starts_s)
    return delineation.waves(duration_s)


def one_window(outputs: WaveOutputs, window_mv: npt.NDArray[np.float32] | None = None) -> tuple[Wave, ...]:
    return decoded(outputs, signal() if window_mv is None else window_mv)["II"]


def qrs_shaped(outputs: WaveOutputs, *, seed: int = 0) -> npt.NDArray[np.float32]:
    """A window that shows a QRS wherever the head says so, in little noise."""
    shape = np.zeros(SAMPLES)
    shape[::2] = outputs.label[0, 0] == CODES["QRS"]
    smooth = np.convolve(shape, np.hanning(24), "same")
    return (signal(seed) / 20 + smooth).astype(np.float32)


def of_a_heart(outputs: WaveOutputs) -> tuple[Wave, ...]:
    window_mv = qrs_shaped(outputs)
    return delineate(outputs, window_mv, ("II",), starts_s=(0.0,), sampling_hz=HZ, duration_s=10.0)["II"]


def test_boundaries_lie_between_frames() -> None:
    expected = [(kind, onset + 0.7, offset + 2.2) for kind, onset, offset in beats(1003.3, 1811.1, 2620.9)]
    found = one_window(outputs_of(expected))
    assert [wave.wave for wave in found] == [kind for kind, *_ in expected]
    assert [wave.onset_ms for wave in found] == pytest.approx([onset for _, onset, _ in expected], abs=0.26)
    assert [wave.offset_ms for wave in found] == pytest.approx([offset for *_, offset in expected], abs=0.26)


def test_no_wave_begins_before_the_recording() -> None:
    first = one_window(outputs_of([("P", -3.0, 101.0), *beats(1000.0)]))[0]
    assert (first.wave, first.onset_ms) == ("P", 0.0)
    assert first.onset_ms <= first.peak_ms <= first.offset_ms


def test_a_single_wrong_distance_does_not_move_a_boundary() -> None:
    outputs = outputs_of(beats(1000.0))
    outputs.distance[0, 0, 0, int(968 / FRAME_MS)] = 100
    assert one_window(outputs)[1].onset_ms == pytest.approx(960.0, abs=0.3)


def test_the_peak_lies_between_samples() -> None:
    times_ms = np.arange(SAMPLES) * 1000 / HZ
    window_mv = (-1.2 * np.exp(-0.5 * ((times_ms - 1006.7) / 15) ** 2)).astype(np.float32)[None, None]
    assert one_window(outputs_of(beats(1000.0)), window_mv)[1].peak_ms == pytest.approx(1006.7, abs=0.5)


def test_confidence_is_the_mean_probability() -> None:
    assert one_window(outputs_of(beats(1000.0), confidence=0.98))[0].confidence == pytest.approx(0.98, abs=0.01)


def test_short_doubt_inside_a_wave_does_not_split_it() -> None:
    outputs = outputs_of(beats(1000.0))
    outputs.label[0, 0, int(1250 / FRAME_MS) : int(1250 / FRAME_MS) + 2] = 0
    assert [wave.wave for wave in one_window(outputs)] == ["P", "QRS", "T"]


def test_waves_too_short_or_too_long_are_left_out() -> None:
    waves = [*beats(2000.0), ("P", 3000.0, 3012.0), ("QRS", 3100.0, 3600.0), ("T", 4000.0, 4900.0)]
    assert len(one_window(outputs_of(waves))) == 3


def test_a_lead_without_qrs_has_no_waves() -> None:
    assert one_window(outputs_of([("P", 1000.0, 1100.0), ("T", 1300.0, 1500.0)])) == ()


def test_a_lead_whose_qrs_are_doubtful_is_noise() -> None:
    assert of_a_heart(outputs_of(beats(1000.0, 2000.0, 3000.0), confidence=0.65)) == ()
    assert len(of_a_heart(outputs_of(beats(1000.0, 2000.0, 3000.0)))) == 9


def test_one_doubtful_qrs_is_kept_among_sure_ones() -> None:
    outputs = outputs_of(beats(1000.0, 2000.0, 3000.0))
    outputs.probability[0, 0, int(1950 / FRAME_MS) : int(2060 / FRAME_MS)] = 120
    assert len(of_a_heart(outputs)) == 9


def test_of_two_qrs_too_close_the_surer_is_kept() -> None:
    outputs = outputs_of([("QRS", 1000.0, 1090.0), ("QRS", 1150.0, 1240.0)])
    outputs.probability[0, 0, int(1150 / FRAME_MS) : int(1250 / FRAME_MS)] = 100
    assert [wave.onset_ms for wave in one_window(outputs)] == [pytest.approx(1000.0, abs=0.3)]


def test_a_qrs_has_one_t() -> None:
    waves = [*beats(1000.0), ("T", 1400.0, 1480.0), *beats(2000.0)]
    assert [wave.wave for wave in one_window(outputs_of(waves))] == ["P", "QRS", "T"] * 2


def test_waves_cut_off_by_the_recording_are_left_out() -> None:
    found = one_window(outputs_of([("QRS", -30.0, 60.0), *beats(1000.0), ("QRS", 9950.0, 10050.0)]))
    assert [wave.wave for wave in found] == ["P", "QRS", "T"]


def test_nothing_is_found_in_padding() -> None:
    outputs = outputs_of(beats(1000.0, 7000.0))
    found = decoded(outputs, signal(), duration_s=6.0)["II"]
    assert len(found) == 3


def test_a_flat_lead_has_no_waves() -> None:
    assert one_window(outputs_of(beats(1000.0)), np.zeros((1, 1, SAMPLES), dtype=np.float32)) == ()


def test_overlapping_windows_give_each_wave_once() -> None:
    r_ms = np.arange(500.0, 19_500.0, 730.0)
    windows = [
        outputs_of([(kind, a - start, b - start) for kind, a, b in beats(*r_ms.tolist())])
        for start in (0.0, 5000.0, 10_000.0)
    ]
    found = decoded(stacked(*windows, axis=0), signal(windows=3), starts_s=(0.0, 5.0, 10.0), duration_s=20.0)["II"]
    assert [wave.onset_ms for wave in found] == pytest.approx([onset for _, onset, _ in beats(*r_ms)], abs=0.3)


def test_the_window_in_which_a_wave_is_central_decides() -> None:
    first = outputs_of(beats(*np.arange(1000.0, 9000.0, 800.0)))
    second = outputs_of([])
    found = decoded(stacked(first, second, axis=0), signal(windows=2), starts_s=(0.0, 5.0), duration_s=15.0)["II"]
    assert max(wave.offset_ms for wave in found) < 7600.0


def test_leads_do_not_mix() -> None:
    outputs = stacked(outputs_of(beats(1000.0)), outputs_of([]), outputs_of(beats(3000.0, 4000.0)), axis=1)
    found = decoded(outputs, signal(leads=3), ("a", "b", "c"))
    assert {lead: len(waves) for lead, waves in found.items()} == {"a": 3, "b": 0, "c": 6}


def test_derived_leads_follow_einthoven_and_fall_with_a_dead_lead() -> None:
    windows_mv = signal(leads=len(MODEL_LEADS))
    twelve = dict(zip(STANDARD_LEADS, twelve_leads(windows_mv)[0], strict=True))
    np.testing.assert_allclose(twelve["III"], windows_mv[0, 1] - windows_mv[0, 0], atol=1e-6)
    np.testing.assert_allclose(twelve["V6"], windows_mv[0, 7])
    dead = dict(zip(STANDARD_LEADS, twelve_leads(windows_mv, ("I",))[0], strict=True))
    assert [lead for lead, values in dead.items() if not values.any()] == ["I", "III", "aVR", "aVL", "aVF"]


@settings(max_examples=60, deadline=None)
@given(
    label=arrays.arrays(np.uint8, (2, 3, FRAMES), elements=st.integers(0, 3), fill=st.integers(0, 3)),
    distance=arrays.arrays(np.int8, (2, 3, 2, FRAMES), elements=st.integers(-127, 127), fill=st.integers(-127, 127)),
)
def test_whatever_the_network_says_the_waves_are_in_order(
    label: npt.NDArray[np.uint8], distance: npt.NDArray[np.int8]
) -> None:
    outputs = WaveOutputs(label, np.full(label.shape, 250, dtype=np.uint8), distance)
    require_order(decoded(outputs, signal(leads=3, windows=2), ("a", "b", "c"), starts_s=(0.0, 5.0), duration_s=15.0))


def require_order(found: Waves) -> None:
    for waves in found.values():
        for wave in waves:
            assert wave.onset_ms <= wave.peak_ms <= wave.offset_ms
            assert 0.0 <= wave.confidence <= 1.0
        for one, following in pairwise(waves):
            assert one.offset_ms <= following.onset_ms
        if waves:
            assert any(wave.wave == "QRS" for wave in waves)
