"""WFDB records: what is read, and what is refused with which code."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model.errors import EcgError
from model.files import Limits, read_record
from model.files.wfdb_files import decode_record
from model.signal.leads import STANDARD_LEADS
from model.signal.recording import Recording
from training.sources.simulated import simulate, wfdb_record

Files = dict[str, bytes]

ECG = simulate(1, duration_s=5).recording
RECORD = wfdb_record("r", ECG)
MAT = wfdb_record("r", ECG, mat=True)


def edited(old: str, new: str, *, times: int = -1, record: Files = RECORD) -> Files:
    header = record["r.hea"].decode()
    assert old in header
    return record | {"r.hea": header.replace(old, new, times).encode()}


def with_header(lines: str) -> Files:
    return RECORD | {"r.hea": lines.encode()}


def code_of(files: Files, limits: Limits | None = None) -> str:
    with pytest.raises(EcgError) as caught:
        decode_record(files, limits or Limits())
    return caught.value.code


def assert_same(got: Recording, wanted: Recording = ECG) -> None:
    assert got.leads == wanted.leads
    assert got.sampling_hz == wanted.sampling_hz
    np.testing.assert_allclose(got.signal_mv, wanted.signal_mv, atol=0.00051)  # half of the 1 uV step


@pytest.mark.parametrize("record", [RECORD, MAT], ids=["dat", "mat"])
def test_a_record_is_read_as_it_was_written(record: Files) -> None:
    got = decode_record(record)
    assert_same(got)
    assert got.notes == ()


READ_ALIKE: dict[str, Files] = {
    "record name ends in .mat": edited("r 12 500", "r.mat 12 500", record=MAT),
    "date with a month's name": edited("500 2500", "500 2500 23-Mar-2021 20:21:06"),
    "time and date": edited("500 2500", "500 2500 17:27:45 15/08/1994"),
    "counter frequency": edited("r 12 500", "r 12 500/1000(5)"),
    "explicit samples in a frame": edited(" 16 1000", " 16x1 1000"),
    "16x1+24": edited("16+24", "16x1+24", record=MAT),
    "gain without baseline, adc zero 0": edited("1000(0)/mV", "1000/mV"),
    "gain in exponents": edited("1000(0)/mV", "1e3(0)/mV"),
    "no length": edited("500 2500", "500"),
    "length 0": edited("500 2500", "500 0"),
    "no length, offset": edited("500 2500", "500", record=MAT),
    "mv": edited("/mV", "/mv"),
    "MV": edited("/mV", "/MV"),
    "uV": edited("1000(0)/mV", "1(0)/uV"),
    "micro sign": edited("1000(0)/mV", "1(0)/µV"),
    "Greek mu": edited("1000(0)/mV", "1(0)/μV"),
    "V": edited("1000(0)/mV", "1000000(0)/V"),
    "carriage returns": edited("\n", "\r\n"),
    "tabs": edited(" ", "\t"),
    "comments before, between and after": edited("\n", "\n# Aldomet, Inderal\n\n"),
    "Latin-1": RECORD | {"r.hea": RECORD["r.hea"].replace(b"1000(0)/mV", b"1(0)/\xb5V") + b"# M\xfcller\n"},
    "upper-case suffix": {"R.HEA": RECORD["r.hea"], "r.dat": RECORD["r.dat"]},
    "a file that the header does not name": RECORD | {"r.atr": b"\x00\x01", "notes.txt": b"?"},
}


@pytest.mark.parametrize("files", READ_ALIKE.values(), ids=READ_ALIKE.keys())
def test_spellings_of_the_same_record_are_read_alike(files: Files) -> None:
    assert_same(decode_record(files))


def test_leads_are_known_by_name_in_any_case_and_order() -> None:
    shuffled = Recording(ECG.signal_mv[::-1], 500, ECG.leads[::-1])
    files = wfdb_record("r", shuffled)
    header = files["r.hea"].decode().replace("aVR", "AVR").replace("V1", "v1")
    got = decode_record(files | {"r.hea": header.encode()})
    assert got.leads == ECG.leads[::-1]
    np.testing.assert_allclose(got.signal_mv[::-1], ECG.signal_mv, atol=0.00051)


REFUSED: dict[str, tuple[Files, str]] = {
    "no header": ({"r.dat": RECORD["r.dat"]}, "malformed_record"),
    "two headers": (RECORD | {"s.hea": RECORD["r.hea"]}, "malformed_record"),
    "no signal file": ({"r.hea": RECORD["r.hea"]}, "malformed_record"),
    "signal file of another name": ({"r.hea": RECORD["r.hea"], "s.dat": RECORD["r.dat"]}, "malformed_record"),
    "truncated": (RECORD | {"r.dat": RECORD["r.dat"][:-500]}, "malformed_record"),
    "one byte short": (RECORD | {"r.dat": RECORD["r.dat"][:-1]}, "malformed_record"),
    "one byte over": (RECORD | {"r.dat": RECORD["r.dat"] + b"\0"}, "malformed_record"),
    "empty signal file": (RECORD | {"r.dat": b""}, "malformed_record"),
    "no length and not whole frames": (
        edited("500 2500", "500") | {"r.dat": RECORD["r.dat"][:-1]},
        "malformed_record",
    ),
    "no length and no samples": (edited("500 2500", "500") | {"r.dat": b""}, "malformed_record"),
    "header claims a longer record": (edited("500 2500", "500 2501"), "malformed_record"),
    "header claims a shorter record": (edited("500 2500", "500 2499"), "malformed_record"),
    "header claims an eternal record": (edited("500 2500", "500 99999999999"), "too_large"),
    "header claims a lead more": (edited("r 12", "r 13"), "malformed_record"),
    "header claims a lead less": (edited("r 12", "r 11"), "malformed_record"),
    "header leaves a lead out": (
        with_header("\n".join(RECORD["r.hea"].decode().replace("r 12", "r 11").splitlines()[:-1])),
        "malformed_record",
    ),
    "matrix of another shape": (
        with_header("r 6 500 5000\n" + "r.mat 16+24 1000/mV 16 0 0 0 0 I\n" * 6) | {"r.mat": MAT["r.mat"]},
        "malformed_record",
    ),
    "offset that is not there": (edited(" 16 1000", " 16+24 1000"), "malformed_record"),
    "offset beyond the file": (edited(" 16 1000", " 16+999999999 1000"), "malformed_record"),
    "other format": (edited(" 16 1000", " 32 1000"), "malformed_record"),
    "more samples in a frame": (edited(" 16 1000", " 16x2 1000"), "malformed_record"),
    "mixed formats in a file": (edited(" 16 1000", " 80 1000", times=1), "malformed_record"),
    "mixed offsets in a file": (edited(" 16 1000", " 16+2 1000", times=1), "malformed_record"),
    "unknown format": (edited(" 16 1000", " 17 1000"), "unsupported_record"),
    "leads at two rates": (edited(" 16 1000", " 16x2 1000", times=1), "unsupported_record"),
    "no samples in a frame": (edited(" 16 1000", " 16x0 1000"), "malformed_record"),
    "many samples in a frame": (edited(" 16 1000", " 16x9999 1000"), "malformed_record"),
    "skew beyond the record": (edited(" 16 1000", " 16:2500 1000", times=1), "malformed_record"),
    "negative length": (edited("500 2500", "500 -2500"), "malformed_record"),
    "length in words": (edited("500 2500", "500 long"), "malformed_record"),
    "multi-segment": (edited("r 12", "r/3 12"), "unsupported_record"),
    "no such signal file": (edited("r.dat", "~"), "unsupported_record"),
    "standard input": (edited("r.dat", "-"), "malformed_record"),
    "path": (edited("r.dat", "a/r.dat") | {"a/r.dat": RECORD["r.dat"]}, "malformed_record"),
    "absolute path": (edited("r.dat", "/etc/passwd"), "malformed_record"),
    "parent folder": (edited("r.dat", "../r.dat"), "malformed_record"),
    "Windows path": (edited("r.dat", "C:\\r.dat"), "malformed_record"),
    "URL": (edited("r.dat", "https://example.org/r.dat"), "malformed_record"),
    "hidden file": (edited("r.dat", ".dat") | {".dat": RECORD["r.dat"]}, "malformed_record"),
    "empty header": (with_header(""), "malformed_record"),
    "comments alone": (with_header("# nothing\n"), "malformed_record"),
    "one word": (with_header("r\n"), "malformed_record"),
    "no signals": (with_header("r 0 500 2500\n"), "malformed_record"),
    "negative signals": (with_header("r -1 500 2500\n"), "malformed_record"),
    "a signal line of one word": (with_header("r 1 500 2500\nr.dat\n"), "malformed_record"),
    "binary header": (RECORD | {"r.hea": RECORD["r.dat"][:4000]}, "malformed_record"),
    "no rate": (with_header("r 1\nr.dat 16 1000/mV 16 0 0 0 0 I\n"), "missing_rate"),
    "rate 0": (edited("r 12 500", "r 12 0"), "rate_out_of_range"),
    "negative rate": (edited("r 12 500", "r 12 -500"), "rate_out_of_range"),
    "slow": (edited("r 12 500", "r 12 99"), "rate_out_of_range"),
    "fast": (edited("r 12 500", "r 12 2001"), "rate_out_of_range"),
    "rate nan": (edited("r 12 500", "r 12 nan"), "malformed_record"),
    "rate inf": (edited("r 12 500", "r 12 1e999"), "malformed_record"),
    "unit absent": (edited("/mV", ""), "missing_unit"),
    "unit of pressure": (edited("/mV", "/mmHg"), "unknown_unit"),
    "unit absent in one lead": (edited("/mV", "", times=1), "missing_unit"),
    "no gain": (with_header("r 1 500 30000\nr.dat 16\n"), "missing_gain"),
    "gain 0": (edited("1000(0)/mV", "0/mV"), "missing_gain"),
    "gain 0 in one lead": (edited("1000(0)/mV", "0(0)/mV", times=1), "missing_gain"),
    "negative gain": (edited("1000(0)/mV", "-1000(0)/mV"), "malformed_record"),
    "gain nan": (edited("1000(0)/mV", "nan/mV"), "malformed_record"),
    "gain inf": (edited("1000(0)/mV", "1e999/mV"), "malformed_record"),
    "gain so small that mV overflow": (edited("1000(0)/mV", "1e-99/mV"), "malformed_record"),
    "adc zero in words": (edited("16 0 ", "16 zero "), "malformed_record"),
    "a lead twice": (edited("aVR", "I"), "duplicate_lead"),
    "a lead twice in two spellings": (edited("aVR", "i"), "duplicate_lead"),
    "a huge number": (edited("r 12 500", "r 12 " + "9" * 5000), "malformed_record"),
}


@pytest.mark.parametrize(("files", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_refusals(files: Files, code: str) -> None:
    assert code_of(files) == code


def test_a_sample_marked_as_missing_is_refused_and_not_filled_in() -> None:
    samples = bytearray(RECORD["r.dat"])
    samples[240:242] = (-32768).to_bytes(2, "little", signed=True)
    assert code_of(RECORD | {"r.dat": bytes(samples)}) == "not_finite"


def test_a_large_header_is_refused() -> None:
    assert code_of(RECORD | {"r.hea": RECORD["r.hea"] + b"#" * 2**16}) == "too_large"


def test_limits() -> None:
    seventeen = "r 17 500 2500\n" + "".join(f"r.dat 16 1000/mV 16 0 0 0 0 L{n}\n" for n in range(17))
    assert code_of(with_header(seventeen)) == "too_large"
    assert code_of(RECORD, Limits(duration_s=4.9)) == "too_large"
    assert code_of(RECORD, Limits(body_bytes=1000)) == "too_large"
    assert code_of(RECORD | {f"{n}.txt": b"" for n in range(64)}) == "too_large"


def test_errors_hold_nothing_of_the_header() -> None:
    secrets = {"Mustermann": edited("r.dat", "../Mustermann"), "Erika": edited("/mV", "/Erika")}
    secrets |= {"Gabler": edited("2500", "Gabler"), "Lovelace": edited("16 1000", "Lovelace 1000")}
    for secret, files in secrets.items():
        with pytest.raises(EcgError) as caught:
            decode_record(files)
        assert secret not in caught.value.detail


def added(line: str, samples: bytes, record: Files = RECORD) -> Files:
    header = record["r.hea"].decode().replace("r 12", "r 13") + line + "\n"
    return record | {"r.hea": header.encode(), "extra.dat": samples}


BREATH = (np.arange(2500) % 100).astype("<i2").tobytes()


def test_signals_that_are_no_voltage_are_left_out_and_said_so() -> None:
    got = decode_record(added("extra.dat 16 100/l 16 0 0 0 0 resp", BREATH))
    assert_same(got)
    assert "signals_left_out" in got.notes


def test_signals_at_another_rate_are_left_out_and_said_so() -> None:
    got = decode_record(added("extra.dat 16x2 100/mV 16 0 0 0 0 EEG", BREATH + BREATH))
    assert_same(got)
    assert got.notes == ("signals_left_out",)


def test_signals_with_gaps_are_left_out_when_they_are_no_standard_lead() -> None:
    assert_same(decode_record(added("extra.dat 16 100/mV 16 0 -32768 0 0 VX", b"\x00\x80" * 2500)))


def test_other_voltages_are_kept() -> None:
    got = decode_record(added("extra.dat 16 100/mV 16 0 0 58214 0 vx", BREATH))
    assert got.leads == (*STANDARD_LEADS, "vx")
    assert got.signal_mv[12, 7] == pytest.approx(0.07)
    assert got.notes == ()


def test_a_standard_lead_is_never_left_out() -> None:
    assert code_of(edited("1000(0)/mV 16 0", "1000(0)/l 16 0", times=1)) == "unknown_unit"


def test_several_signal_files() -> None:
    counts = np.frombuffer(RECORD["r.dat"], "<i2").reshape(-1, 12)
    header = "".join(
        line.replace("r.dat", "a.dat" if n < 7 else "b.dat")
        for n, line in enumerate(RECORD["r.hea"].decode().splitlines(keepends=True))
    )
    files = {"r.hea": header.encode(), "a.dat": counts[:, :6].tobytes(), "b.dat": counts[:, 6:].tobytes()}
    assert_same(decode_record(files))
    swapped = files | {"r.hea": header.replace("b.dat", "a.dat", 1).encode()}
    assert code_of(swapped) == "malformed_record"


def test_signals_of_a_file_are_listed_together() -> None:
    lines = RECORD["r.hea"].decode().splitlines()
    lines[2] = lines[2].replace("r.dat", "other.dat")
    assert code_of(with_header("\n".join(lines)) | {"other.dat": RECORD["r.dat"]}) == "malformed_record"


def test_skewed_leads_are_aligned_and_the_ragged_end_is_cut() -> None:
    counts = np.frombuffer(RECORD["r.dat"], "<i2").reshape(-1, 12).copy()
    counts[:, 0] = np.roll(counts[:, 0], 4)  # stored four samples late
    files = edited(" 16 1000", " 16:4 1000", times=1) | {"r.dat": counts.tobytes()}
    got = decode_record(files)
    assert got.signal_mv.shape == (12, 2496)
    assert "skew_cut" in got.notes
    np.testing.assert_allclose(got.signal_mv, ECG.signal_mv[:, :2496], atol=0.00051)


def test_several_samples_in_a_frame_raise_the_rate() -> None:
    counts = np.frombuffer(RECORD["r.dat"], "<i2").reshape(1250, 2, 12).transpose(0, 2, 1)
    files = edited(" 16 1000", " 16x2 1000") | {"r.dat": counts.tobytes()}
    header = files["r.hea"].decode().replace("500 2500", "250 1250")
    assert_same(decode_record(files | {"r.hea": header.encode()}))


def test_a_checksum_that_does_not_fit_is_said() -> None:
    samples = bytearray(RECORD["r.dat"])
    samples[240] ^= 1
    assert decode_record(RECORD | {"r.dat": bytes(samples)}).notes == ("checksum_mismatch",)
    assert decode_record(with_header("r 1 500 30000\nr.dat 16 1000/mV 0 0 5\n")).notes == ("checksum_mismatch",)


def test_an_adc_zero_stands_in_for_the_baseline() -> None:
    got = decode_record(edited("1000(0)/mV 16 0", "1000/mV 16 1000"))
    np.testing.assert_allclose(got.signal_mv, ECG.signal_mv - 1, atol=0.00051)


def test_a_negative_baseline() -> None:
    got = decode_record(edited("1000(0)/mV", "1000(-1000)/mV"))
    np.testing.assert_allclose(got.signal_mv, ECG.signal_mv + 1, atol=0.00051)


UNNAMED = with_header("r 12 500 2500\n" + "r.dat 16 1000\n" * 12)


def test_leads_without_names_get_numbers_and_no_meaning() -> None:
    got = decode_record(UNNAMED, uncalibrated=True)
    assert got.leads == tuple(f"signal {number}" for number in range(12))
    twice = with_header("r 12 500 2500\n" + "r.dat 16 1000/mV 16 0 0 0 0 ECG\n" * 12)
    assert decode_record(twice).leads[:3] == ("ECG", "ECG (1)", "ECG (2)")


@pytest.mark.parametrize(
    ("change", "note"), [(("/mV", ""), "unit_by_format"), (("1000(0)/mV", "0"), "gain_by_format")], ids=["unit", "gain"]
)
def test_the_formats_own_defaults_are_taken_only_when_asked_and_said(change: tuple[str, str], note: str) -> None:
    files = edited(*change)
    assert code_of(files) in {"missing_unit", "missing_gain"}
    got = decode_record(files, uncalibrated=True)
    assert note in got.notes
    assert got.leads == ECG.leads


def test_gaps_are_bridged_only_where_times_count_and_are_known() -> None:
    samples = bytearray(RECORD["r.dat"])
    samples[240:242] = b"\x00\x80"
    files = RECORD | {"r.dat": bytes(samples)}
    assert code_of(files) == "not_finite"
    got = decode_record(files, uncalibrated=True)
    assert got.leads == STANDARD_LEADS
    assert got.notes == ("checksum_mismatch", "gaps_bridged")
    assert got.missing is not None
    assert np.argwhere(got.missing).tolist() == [[0, 10]]
    neighbours = got.signal_mv[0, [9, 11]].mean()
    assert got.signal_mv[0, 10] == pytest.approx(neighbours)
    assert decode_record(RECORD, uncalibrated=True).missing is None


def test_leads_without_a_sample_are_left_out_only_where_times_count_and_others_have_some() -> None:
    frames = np.frombuffer(RECORD["r.dat"], "<i2").reshape(-1, 12).copy()
    frames[:, 0] = -32768
    files = RECORD | {"r.dat": frames.tobytes()}
    assert code_of(files) == "not_finite"
    got = decode_record(files, uncalibrated=True)
    assert got.leads == STANDARD_LEADS[1:]
    assert got.notes == ("signals_left_out",)
    assert got.missing is None
    with pytest.raises(EcgError) as caught:
        decode_record(RECORD | {"r.dat": b"\x00\x80" * 30000}, uncalibrated=True)
    assert caught.value.code == "not_finite"


def write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("name", ["r", "r.hea"])
def test_a_record_on_disk(tmp_path: Path, name: str) -> None:
    write(tmp_path, MAT)
    assert_same(read_record(tmp_path / name))


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        (lambda folder: (folder / "r.dat").unlink(), "malformed_record"),
        (lambda folder: (folder / "r.hea").write_bytes(b"#" * 70000), "too_large"),
        (lambda folder: (folder / "r.dat").write_bytes(b""), "malformed_record"),
    ],
    ids=["no signal file", "large header", "empty signal file"],
)
def test_a_broken_record_on_disk(tmp_path: Path, break_it: Callable[[Path], object], code: str) -> None:
    write(tmp_path, RECORD)
    break_it(tmp_path)
    with pytest.raises(EcgError) as caught:
        read_record(tmp_path / "r")
    assert caught.value.code == code


def test_files_on_disk_are_measured_before_they_are_read(tmp_path: Path) -> None:
    write(tmp_path, RECORD)
    with pytest.raises(EcgError) as caught:
        read_record(tmp_path / "r", Limits(body_bytes=1000))
    assert caught.value.code == "too_large"
