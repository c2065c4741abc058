"""What holds no heart has no wave, no interval and no error, whatever it is, at any rate, in any number of leads."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import model
from model.bundle import Bundle, read_bundle
from model.engine import LeadEngine, OnnxEngine
from model.errors import NotFiniteError
from model.lead_reader import LeadReader
from model.reader import Reader, delineate_by_network
from model.signal.leads import STANDARD_LEADS
from model.signal.recording import Recording
from tests.model.synthetic import beats
from training.rules.heartless import FAMILIES, heartless

BUNDLE = Path(model.__file__).parent / "bundles" / "ecg-jepa-nano"
SEEDS = st.integers(0, 2**32)
RATES_HZ = st.sampled_from([100.0, 125.0, 250.0, 333.0, 500.0, 1000.0])


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(BUNDLE)


@pytest.fixture(scope="module")
def any_leads(bundle: Bundle) -> LeadReader:
    return LeadReader(LeadEngine(bundle), bundle.manifest.spec)


@pytest.fixture(scope="module")
def twelve_leads(bundle: Bundle) -> Reader:
    return Reader(bundle, OnnxEngine(bundle, device="cpu", threads=1), delineate_by_network)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(list(FAMILIES)), SEEDS, st.data())
def test_any_leads_without_a_heart_have_no_waves(
    any_leads: LeadReader, family: str, seed: int, data: st.DataObject
) -> None:
    leads, sampling_hz = data.draw(st.integers(1, 12)), data.draw(RATES_HZ)
    duration_s = data.draw(st.sampled_from([0.5, 4.0, 10.0, 25.0]))
    signal_mv = heartless(family, seed, leads=leads, sampling_hz=sampling_hz, duration_s=duration_s)
    recording = Recording(signal_mv.astype(np.float32), sampling_hz, tuple(f"lead {row}" for row in range(leads)))
    assert not any(any_leads.waves(recording).values())


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.sampled_from(list(FAMILIES)), SEEDS, RATES_HZ)
def test_twelve_leads_without_a_heart_have_no_waves_and_no_intervals(
    twelve_leads: Reader, family: str, seed: int, sampling_hz: float
) -> None:
    signal_mv = heartless(family, seed, leads=12, sampling_hz=sampling_hz)
    answer = twelve_leads.read(Recording(signal_mv.astype(np.float32), sampling_hz, STANDARD_LEADS))
    assert answer.waves is not None
    assert answer.measurements is not None
    assert not any(answer.waves.values())
    assert all(one.value is None and one.absent for one in answer.measurements.values())


@pytest.mark.parametrize("what", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_never_becomes_a_recording(what: float) -> None:
    with pytest.raises(NotFiniteError):
        Recording(np.full((1, 5000), what, np.float32), 500.0, ("II",))


@pytest.mark.parametrize("leads", [1, 2, 12])
def test_a_heart_has_waves(any_leads: LeadReader, leads: int) -> None:
    plain = beats()
    found = any_leads.waves(Recording(plain.signal_mv[:leads], plain.sampling_hz, STANDARD_LEADS[:leads]))
    assert all(sum(wave.wave == "QRS" for wave in waves) >= 11 for waves in found.values())


@pytest.mark.parametrize("leads", [1, 12])
def test_a_slow_heart_has_waves_from_its_second_beat_on(any_leads: LeadReader, leads: int) -> None:
    for peaks_ms, found in (([2000.0, 7000.0], 2), ([5000.0], 0)):
        slow = beats(peaks_ms=np.array(peaks_ms))
        waves = any_leads.waves(Recording(slow.signal_mv[:leads], slow.sampling_hz, STANDARD_LEADS[:leads]))
        assert [sum(wave.wave == "QRS" for wave in lead) for lead in waves.values()] == [found] * leads
