"""The sentences that warn the reader of an answer, each under a stable key."""

from collections.abc import Sequence

CAUTIONS: dict[str, str] = {
    "unusable": "The recording cannot be read; findings, waves and measurements are withheld.",
    "issue": "{issue} in {where}.",
    "padded": "The recording is shorter than {window_s:g} s; {padded_s:.1f} s of zeros were added for the model.",
    "dead_leads": "The model did not see {leads}: no signal there.",
    "irregular_rhythm": "The rhythm is irregular; intervals are medians over beats that differ.",
    "paced_rhythm": "The rhythm looks paced; check the intervals and axes of paced beats.",
    "findings_exclude": "{name} is found beside {others}; only one can hold.",
    "measured_otherwise": "{name} is found, yet {words} is {value:.0f} {unit}; check both.",
    "p_waves": "{name} is found, yet P waves were measured; check both.",
    "no_p_waves": "{name} is found, yet no P wave could be measured; it may lie in the T wave.",
    "long_qtc": "QTc (Fridericia) is {value:.0f} ms, yet no prolonged QT interval is found; check both.",
    "no_waves": "No heartbeat was found that the leads agree on; nothing could be measured.",
    "second_opinion": "{name}: {ours_ms:.0f} ms here, {classical_ms:.0f} ms by the classical method; check it.",
    "second_opinion_absent": "{name} has no second opinion: the classical method could not measure it.",
    "no_second_opinion": "There is no second opinion: the classical method failed, was too slow or made these waves.",
    "checksum_mismatch": "A checksum in the file does not fit its samples, which may be damaged; they are read as is.",
    "signals_left_out": "The file holds signals that cannot be read as leads of this ECG; they were left out.",
    "skew_cut": "The file shifts its leads against each other; samples without a partner were cut off.",
    "unit_by_format": "The file names no amplitude unit; the WFDB default, millivolts, was taken.",
    "gain_by_format": "The file gives no gain; the WFDB default, 200 counts a millivolt, was taken.",
    "gaps_bridged": "Samples are missing; no wave is reported that touches a gap.",
}
"""Key to sentence; what stands in braces is filled with our own words and numbers, never with a header's text."""

ISSUE_WORDS: dict[str, str] = {
    "flat": "No signal",
    "saturated": "Clipped signal",
    "noise": "Noise without beats",
    "mains_hum": "Mains hum",
    "baseline_wander": "Baseline wander",
    "disconnected_electrode": "A disconnected electrode",
    "short": "Fewer than ten seconds",
    "missing_lead": "No lead of that name",
    "artefact": "Artefact",
    "contradicts_limb_leads": "A name or scale that contradicts the other limb leads",
    "limb_reversal_suspected": "Limb electrodes may be swapped",
    "precordial_order_suspected": "Chest electrodes may be in the wrong order",
}
"""Code of a quality issue to its words."""


def caution(key: str, **filled: object) -> str:
    """The sentence of a key, its braces filled."""
    return CAUTIONS[key].format(**filled)


def issue_caution(code: str, leads: Sequence[str | None]) -> str:
    """The sentence for one kind of issue in some leads; None stands for the whole recording."""
    named = [lead for lead in leads if lead is not None]
    return caution("issue", issue=ISSUE_WORDS[code], where=", ".join(named) if named else "the recording")
