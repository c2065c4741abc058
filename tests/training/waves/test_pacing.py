"""Spikes before marked waves: where they stand, what they leave alone, and who gets them."""

from dataclasses import replace

import numpy as np
import pytest

from model.signal.leads import LIMB_ALGEBRA, LIMB_LEADS
from tests.training.waves.test_bench import record
from training.sources.ludb import MarkedRecord
from training.waves.pacing import SHARE, paced, paced_records


def spiked(seed: int) -> MarkedRecord:
    made = paced(record(), np.random.default_rng(seed))
    assert made is not None
    return made


def added_mv(made: MarkedRecord) -> np.ndarray:
    return made.recording.signal_mv - record().recording.signal_mv


@pytest.mark.parametrize("seed", range(8))
def test_a_spike_stands_shortly_before_each_wave_that_it_sets_off(seed: int) -> None:
    added = np.abs(added_mv(spiked(seed))).max(axis=0)
    spikes_s = np.flatnonzero(added > 0.3 * added.max()) / record().recording.sampling_hz
    marks = record().marks[1]
    onsets_s = np.concatenate([marks.of("P").onset_s, marks.of("QRS").onset_s])
    before_s = np.array([np.min(onsets_s[onsets_s > spike_s - 0.002] - spike_s) for spike_s in spikes_s.tolist()])
    assert len(spikes_s) >= len(marks.of("QRS").onset_s)
    assert before_s.max() < 0.040


@pytest.mark.parametrize("seed", range(4))
def test_leads_see_one_dipole_and_marks_stay(seed: int) -> None:
    made = spiked(seed)
    added = added_mv(made)
    for row, lead in enumerate(LIMB_LEADS):
        np.testing.assert_allclose(added[row], np.array(LIMB_ALGEBRA[lead]) @ added[:2], atol=1e-5)
    assert np.linalg.matrix_rank(added.astype(np.float64), tol=1e-3) <= 2  # of one or two electrodes
    assert made.marks is not None
    for was, is_ in zip(record().marks, made.marks, strict=True):
        np.testing.assert_array_equal(was.onset_s, is_.onset_s)


def test_a_record_without_marks_has_no_spikes() -> None:
    one = record()
    bare = replace(one, marks=tuple(marks.of("T") for marks in one.marks))
    assert all(paced(bare, np.random.default_rng(seed)) is None for seed in range(8))


def test_about_the_share_of_narrow_records_gets_spikes_and_no_paced_record_more() -> None:
    some = [record()] * 60 + [replace(record(), rhythm=frozenset({"paced"}))] * 20
    places = [at for at, _ in paced_records(some, seed=0)]
    assert places == sorted(set(places))
    assert max(places) < 60
    assert len(places) / 60 == pytest.approx(SHARE, abs=0.2)


def test_the_same_seed_makes_the_same_spikes() -> None:
    first, again = (next(one for _, one in paced_records([record()] * 9, seed=3)) for _ in range(2))
    np.testing.assert_array_equal(first.recording.signal_mv, again.recording.signal_mv)
