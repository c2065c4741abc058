"""A simulated ECG for the documentation: eight leads that a reader can send as they stand; it is nobody's."""

import base64
import json
from functools import cache

import numpy as np
import numpy.typing as npt

SAMPLING_HZ = 100
DURATION_S = 5
BEAT_S = 0.8
GAIN = 1000

# Amplitude in mV of P, Q, R, S and T in each lead; times and widths in s from the R peak.
_TIMES_S = np.array([-0.16, -0.03, 0.0, 0.03, 0.26])
_WIDTHS_S = np.array([0.022, 0.009, 0.011, 0.01, 0.045])
_AMPLITUDES_MV = {
    "I": (0.08, -0.04, 0.60, -0.10, 0.18),
    "II": (0.12, -0.05, 1.00, -0.15, 0.30),
    "V1": (0.05, 0.0, 0.20, -0.90, -0.06),
    "V2": (0.06, 0.0, 0.40, -1.20, 0.35),
    "V3": (0.06, -0.02, 0.80, -0.80, 0.40),
    "V4": (0.07, -0.04, 1.30, -0.50, 0.40),
    "V5": (0.07, -0.06, 1.20, -0.25, 0.32),
    "V6": (0.07, -0.06, 0.90, -0.10, 0.24),
}


@cache
def simulated_mv() -> dict[str, npt.NDArray[np.float64]]:
    """Lead to millivolts: a regular rhythm at 75 beats a minute, each wave a Gaussian, a little seeded noise."""
    random = np.random.default_rng(7)
    times_s = np.arange(SAMPLING_HZ * DURATION_S) / SAMPLING_HZ
    peaks_s = np.arange(0.4, DURATION_S, BEAT_S)
    since_s = times_s[:, None] - peaks_s
    bumps = np.exp(-0.5 * ((since_s[..., None] - _TIMES_S) / _WIDTHS_S) ** 2).sum(axis=1)
    return {
        lead: bumps @ np.array(amplitudes) + random.normal(0, 0.004, len(times_s))
        for lead, amplitudes in _AMPLITUDES_MV.items()
    }


def json_lists() -> dict[str, object]:
    """The JSON body with lists of millivolts."""
    leads = {lead: [round(float(value), 2) for value in values] for lead, values in simulated_mv().items()}
    return {"sampling_hz": SAMPLING_HZ, "unit": "mV", "leads": leads}


def json_base64() -> dict[str, object]:
    """The JSON body with base64 of little-endian int16."""
    leads = {lead: base64.b64encode(_counts(values)).decode() for lead, values in simulated_mv().items()}
    return {"sampling_hz": SAMPLING_HZ, "unit": "mV", "gain": GAIN, "leads": leads}


def raw_int16() -> bytes:
    """The octet-stream body, lead after lead, little-endian int16."""
    return b"".join(_counts(values) for values in simulated_mv().values())


def raw_query() -> dict[str, str]:
    """The query that describes `raw_int16`."""
    return {
        "sampling_hz": str(SAMPLING_HZ),
        "dtype": "int16",
        "order": "lead-major",
        "leads": ",".join(_AMPLITUDES_MV),
        "unit": "mV",
        "gain": str(GAIN),
    }


def wfdb_record() -> dict[str, bytes]:
    """The same as a WFDB record: file name to content."""
    samples = np.stack([np.frombuffer(_counts(values), "<i2") for values in simulated_mv().values()], axis=1)
    lines = [f"example {samples.shape[1]} {SAMPLING_HZ} {samples.shape[0]}"]
    for row, lead in enumerate(_AMPLITUDES_MV):
        checksum = samples[:, row].sum(dtype=np.int16)
        lines.append(f"example.dat 16 {GAIN}/mV 16 0 {samples[0, row]} {checksum} 0 {lead}")
    return {"example.hea": "\n".join(lines).encode() + b"\n", "example.dat": samples.astype("<i2").tobytes()}


def answer() -> dict[str, object]:
    """The beginning of an answer, one entry of everything."""
    example: dict[str, object] = json.loads(_ANSWER)
    return example


def _counts(values_mv: npt.NDArray[np.float64]) -> bytes:
    return np.round(values_mv * GAIN).astype("<i2").tobytes()


_ANSWER = """{
  "request_id": "0d5f6c1e-8a57-4a55-9d7b-0c1f0b7a2d11",
  "recording": {"sampling_hz": 500.0, "duration_s": 10.0, "windows": 1,
    "leads": ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"],
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
  "quality": {"verdict": "limited", "issues": [{"code": "flat", "lead": "V3"}]},
  "findings": [{"key": "AF", "name": "atrial fibrillation", "group": "statement", "snomed_ct": "164889003",
    "probability": 0.93, "threshold": 0.41, "present": true}],
  "measurements": {"heart_rate_bpm": {"value": 88.2, "spread": 6.1, "leads": 11, "absent": null},
    "pr_ms": {"value": null, "spread": null, "leads": 0, "absent": "no_p_wave"}},
  "lead_measurements": {"II": {"p_ms": null, "pr_ms": null, "qrs_ms": 92.0, "qt_ms": 372.0, "r_mv": 1.02,
    "s_mv": 0.14, "st_j_mv": 0.02, "st_j60_mv": 0.03}},
  "waves": {"II": [{"wave": "QRS", "onset_ms": 352.0, "peak_ms": 398.0, "offset_ms": 444.0, "confidence": 0.97}]},
  "model": {"name": "ecg-jepa-nano", "version": "0.4.0", "variant": "factorised-fp32", "device": "cpu",
    "sha256": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752", "thresholds": "val-74888c18c387"},
  "warnings": ["No signal in V3.", "The model did not see V3: no signal there."],
  "notice": "decision support, to be read by a clinician"
}"""
