"""The simulator: one seed is one heart at every rate, the truth is true, and each kind shows what it is called."""

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample_poly

from model.files import read_path
from model.reading.statements import VOCABULARY
from model.reading.waves import Wave, WaveKind
from model.signal.leads import LIMB_ALGEBRA, STANDARD_LEADS
from training.sources.simulated import KINDS, LABELS, Kind, SimulatedEcg, run, simulate, wfdb_record

SEEDS = range(4)


def clean(seed: int, kind: Kind = "normal", **options: float) -> SimulatedEcg:
    return simulate(seed, kind, noise_mv=0.0, **options)


def lead(ecg: SimulatedEcg, name: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    row: np.ndarray[tuple[int], np.dtype[np.float32]] = ecg.recording.signal_mv[ecg.recording.leads.index(name)]
    return row


def waves(ecg: SimulatedEcg, kind: WaveKind, name: str = "II") -> list[Wave]:
    return [wave for wave in ecg.waves[name] if wave.wave == kind]


def rr_ms(ecg: SimulatedEcg) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.diff([wave.peak_ms for wave in waves(ecg, "QRS", "V5")])


def level_mv(ecg: SimulatedEcg, name: str, after_ms: float) -> float:
    """Median over beats of a lead so many ms after the QRS offset."""
    rate = ecg.recording.sampling_hz / 1000
    at = [round((wave.offset_ms + after_ms) * rate) for wave in waves(ecg, "QRS", name)]
    return float(np.median([lead(ecg, name)[sample] for sample in at if sample < lead(ecg, name).size]))


def peak_mv(ecg: SimulatedEcg, kind: WaveKind, name: str) -> float:
    """Median over beats of the largest deflection of a wave."""
    rate = ecg.recording.sampling_hz / 1000
    return float(np.median([lead(ecg, name)[round(wave.peak_ms * rate)] for wave in waves(ecg, kind, name)]))


def width_ms(ecg: SimulatedEcg, kind: WaveKind, name: str = "II") -> float:
    return float(np.median([wave.offset_ms - wave.onset_ms for wave in waves(ecg, kind, name)]))


def pr_ms(ecg: SimulatedEcg) -> float:
    p_onsets = [wave.onset_ms for wave in waves(ecg, "P")]
    qrs_onsets = np.array([wave.onset_ms for wave in waves(ecg, "QRS")])
    return float(np.median([qrs_onsets[qrs_onsets > onset].min() - onset for onset in p_onsets[:-1]]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_ecg_each_time(kind: Kind) -> None:
    one, two = simulate(5, kind), simulate(5, kind)
    np.testing.assert_array_equal(one.recording.signal_mv, two.recording.signal_mv)
    assert (one.waves, one.labels, one.age, one.sex) == (two.waves, two.labels, two.age, two.sex)
    assert not np.array_equal(one.recording.signal_mv, simulate(6, kind).recording.signal_mv)


@pytest.mark.parametrize("kind", KINDS)
def test_leads_are_consistent_and_of_a_heart_s_size(kind: Kind) -> None:
    for seed in SEEDS:
        recording = simulate(seed, kind).recording
        rows = dict(zip(recording.leads, recording.signal_mv, strict=True))
        assert recording.leads == STANDARD_LEADS
        for name, (a, b) in LIMB_ALGEBRA.items():
            np.testing.assert_allclose(rows[name], a * rows["I"] + b * rows["II"], atol=1e-5)
        assert 0.5 < np.abs(recording.signal_mv).max() < 5


@pytest.mark.parametrize("sampling_hz", [100, 250, 257, 1000, 2000])
def test_one_seed_is_one_heart_at_every_rate(sampling_hz: int) -> None:
    at_500, other = clean(3), clean(3, sampling_hz=sampling_hz)
    assert other.waves == at_500.waves
    if sampling_hz in (250, 1000):
        fine, coarse = (at_500, other) if sampling_hz == 250 else (other, at_500)
        np.testing.assert_allclose(fine.recording.signal_mv[:, ::2], coarse.recording.signal_mv, atol=1e-5)


def test_at_100_hz_too() -> None:
    reference = resample_poly(clean(3).recording.signal_mv, 1, 5, axis=1)
    np.testing.assert_allclose(
        clean(3, sampling_hz=100).recording.signal_mv[:, 20:-20], reference[:, 20:-20], atol=0.12
    )


@pytest.mark.parametrize("kind", KINDS)
def test_waves_lie_inside_in_order_and_where_the_signal_is(kind: Kind) -> None:
    for seed in SEEDS:
        ecg = clean(seed, kind)
        for name, found in ecg.waves.items():
            assert all(0 <= wave.onset_ms < wave.peak_ms < wave.offset_ms <= 10_000 for wave in found)
            assert [wave.onset_ms for wave in found] == sorted(wave.onset_ms for wave in found)
            complexes = waves(ecg, "QRS", name)
            assert 5 <= len(complexes) <= 25
            assert all(a.offset_ms < b.onset_ms for a, b in pairwise(complexes))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"fibrillation", "ventricular_beats"}))
def test_between_the_waves_of_sinus_beats_there_is_almost_nothing(kind: Kind) -> None:
    ecg = clean(2, kind)
    for name in STANDARD_LEADS:
        limit_mv = max(0.04, 0.05 * np.abs(lead(ecg, name)).max())
        for wave, after in pairwise(ecg.waves[name]):
            if (wave.wave, after.wave) in {("T", "P"), ("P", "QRS")}:
                quiet = lead(ecg, name)[int(wave.offset_ms / 2) + 1 : int(after.onset_ms / 2)]
                assert quiet.size == 0 or np.abs(quiet).max() < limit_mv


def test_normal_intervals() -> None:
    for seed in SEEDS:
        ecg = clean(seed)
        assert 60 <= 60_000 / rr_ms(ecg).mean() <= 100
        assert 120 <= pr_ms(ecg) <= 200
        assert 80 <= max(width_ms(ecg, "QRS", name) for name in STANDARD_LEADS) <= 110
        assert 80 <= width_ms(ecg, "P") <= 120
        assert peak_mv(ecg, "QRS", "V1") < 0 < peak_mv(ecg, "QRS", "V5")
        assert peak_mv(ecg, "T", "V5") > 0.1
        qt_ms = [
            t.offset_ms - qrs.onset_ms
            for qrs, t in zip(waves(ecg, "QRS", "V5")[:-1], waves(ecg, "T", "V5"), strict=False)
        ]
        assert 340 <= np.median(qt_ms) / (rr_ms(ecg).mean() / 1000) ** (1 / 3) <= 450


def test_rates() -> None:
    for seed in SEEDS:
        assert 60_000 / rr_ms(clean(seed, "tachycardia")).mean() > 100
        assert 60_000 / rr_ms(clean(seed, "bradycardia")).mean() < 60


def test_fibrillation_is_irregular_without_p_waves() -> None:
    for seed in SEEDS:
        ecg = clean(seed, "fibrillation")
        assert rr_ms(ecg).std() / rr_ms(ecg).mean() > 0.1
        assert not any(wave.wave == "P" for found in ecg.waves.values() for wave in found)
        assert rr_ms(clean(seed)).std() / rr_ms(clean(seed)).mean() < 0.06


def test_conduction() -> None:
    for seed in SEEDS:
        assert pr_ms(clean(seed, "av_block")) > 210
        for kind, sign in (("left_bundle", -1), ("right_bundle", 1)):
            ecg = clean(seed, "left_bundle" if kind == "left_bundle" else "right_bundle")
            assert width_ms(ecg, "QRS", "V1") >= 118
            last = [wave.offset_ms - 35 for wave in waves(ecg, "QRS", "V1")]
            assert np.sign(np.median([lead(ecg, "V1")[round(at / 2)] for at in last])) == sign


def test_hypertrophy_has_the_voltages() -> None:
    def sokolow_lyon_mv(ecg: SimulatedEcg) -> float:
        return float(-lead(ecg, "V1").min() + max(lead(ecg, "V5").max(), lead(ecg, "V6").max()))

    assert all(sokolow_lyon_mv(clean(seed, "hypertrophy")) >= 3.5 for seed in SEEDS)
    assert all(sokolow_lyon_mv(clean(seed)) < 3.5 for seed in SEEDS)
    assert all(peak_mv(clean(seed, "hypertrophy"), "T", "V6") < 0 for seed in SEEDS)


def test_infarctions_raise_st_where_they_are_and_lower_it_across() -> None:
    for seed in SEEDS:
        inferior, anterior = clean(seed, "inferior_infarction"), clean(seed, "anterior_infarction")
        assert min(level_mv(inferior, name, 60) for name in ("II", "III", "aVF")) > 0.1
        assert level_mv(inferior, "aVL", 60) < -0.05
        assert min(level_mv(anterior, name, 60) for name in ("V2", "V3")) > 0.15
        assert all(abs(level_mv(clean(seed), name, 30)) < 0.1 for name in STANDARD_LEADS)


def test_inverted_t() -> None:
    for seed in SEEDS:
        assert max(peak_mv(clean(seed, "inverted_t"), "T", name) for name in ("I", "V4", "V5", "V6")) < -0.05


def test_ventricular_beats_are_early_wide_and_without_p() -> None:
    for seed in SEEDS:
        ecg = clean(seed, "ventricular_beats")
        widths = [wave.offset_ms - wave.onset_ms for wave in waves(ecg, "QRS", "V2")]
        assert sum(width > 130 for width in widths) >= 1
        assert sum(width < 110 for width in widths) >= 4
        assert rr_ms(ecg).min() < 0.75 * np.median(rr_ms(ecg))


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_of_the_vocabulary(kind: Kind) -> None:
    assert set(LABELS[kind]) <= VOCABULARY.keys()
    assert simulate(0, kind).labels == LABELS[kind]


def test_noise_can_be_chosen() -> None:
    quiet, loud = clean(1), simulate(1, noise_mv=0.05)
    difference = loud.recording.signal_mv - quiet.recording.signal_mv
    assert 0.03 < np.diff(difference[1]).std() / np.sqrt(2) < 0.07
    assert np.abs(difference).max() < 1.5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten records of every kind."""
    out = tmp_path_factory.mktemp("simulated") / "data"
    assert run(out=out, records=120, seed=3)["records"] == 120
    return out


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_folder_of_records(folder: Path) -> None:
    rows = table(folder)
    assert len(rows) == 120
    assert (rows[0]["superclasses"], rows[0]["statements"]) == ("NORM", "NSR")
    assert (rows[3]["superclasses"], rows[3]["statements"]) == ("", "AF")
    recording = read_path(folder / rows[14]["record"])
    assert recording.notes == ()
    np.testing.assert_allclose(recording.signal_mv, simulate(17, KINDS[2]).recording.signal_mv, atol=0.00051)
    with pytest.raises(FileExistsError):
        run(out=folder)


def test_every_kind_is_in_every_split(folder: Path) -> None:
    for split in ("train", "val", "test"):
        labels = {row["superclasses"] + row["statements"] for row in table(folder) if row["split"] == split}
        assert len(labels) == len(KINDS)


def test_a_record_holds_its_checksums() -> None:
    files = wfdb_record("r", simulate(1, duration_s=5).recording)
    assert sorted(files) == ["r.dat", "r.hea"]
    assert len(files["r.dat"]) == 2 * 12 * 2500
