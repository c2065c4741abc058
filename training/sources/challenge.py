"""PhysioNet challenge records: SNOMED CT codes in the `#Dx` line of each header, from several databases at once.

Reyna et al., "Will Two Do? Varying Dimensions in Electrocardiography: The PhysioNet/Computing in Cardiology Challenge
2021". Which diagnoses a database uses at all is from the challenge's tables of diagnoses: a diagnosis that a database
never uses is unknown in its records, not absent. In a folder of records that are not among the challenge's, a diagnosis
is known where one of them has it.
"""

import re
from dataclasses import replace
from pathlib import Path

from model.reading.statements import FURTHER_STATEMENTS, KINDS, STATEMENTS, VOCABULARY
from model.signal.recording import Recording
from training.errors import TrainingError
from training.sources.catalogue import Entry, Source, read_wfdb, split_by_patient
from training.sources.tables import read_age
from training.sources.wfdb_headers import read_comments, signal_file

# Codes that the challenge scored as one diagnosis.
EQUIVALENT = (
    frozenset({"CRBBB", "RBBB"}),
    frozenset({"CLBBB", "LBBB"}),
    frozenset({"PAC", "SVPB"}),
    frozenset({"PVC", "VPB"}),
)
# A record with one of these has sinus rhythm whether or not the code for it is given: some databases add it, some not.
SINUS = frozenset({"SB", "STach", "SA"})
# Codes that name another code's finding under a second concept.
SYNONYMS = {
    "164884008": "427172004",  # ventricular ectopics: premature ventricular contractions
    "282825002": "164889003",  # paroxysmal, chronic and rapid atrial fibrillation: atrial fibrillation
    "426749004": "164889003",
    "314208002": "164889003",
}
# Some Georgia headers give the resolution of 4.88 uV a count as a gain, where the samples are in uV.
WRONG_GAIN, RIGHT_GAIN = 4880.0, 1000.0

_CODE_OF = {one.key: one.snomed_ct for one in STATEMENTS + FURTHER_STATEMENTS}
_KEYS_OF = {
    code: frozenset(key for key, other in _CODE_OF.items() if other == code)
    for code in _CODE_OF.values()
    if code is not None and list(_CODE_OF.values()).count(code) == 1
}

# Statements that each database uses, by the letters its records begin with.
_USED = {
    "A": "AF IAVB LBBB NSR PAC PVC RBBB STD",
    "Q": "AF AFL Brady CRBBB IAVB ILBBB IRBBB LBBB LQT LVH MIs NSIVCB PAC PVC RBBB SA SB STD STach SVPB TAb TInv VPB",
    "I": "AF Brady IAVB LVH NSIVCB PAC PVC RBBB SA STD STach SVPB",
    "S": "AF AFL BBB NSR STach",
    "HR": "AF AFL CRBBB IAVB ILBBB IRBBB LAD LAE LAnFB LBBB LPFB LPR LQRSV LQT LVH MIs NSIVCB NSR PAC PACE PVC QAb "
    "RAD SA SB STD STach SVPB TAb TInv",
    "E": "AF AFL BBB CRBBB IAVB ILBBB IRBBB LAD LAE LAnFB LBBB LPFB LQRSV LQT LVH NSIVCB NSR PAC PVC QAb RAD RBBB SA "
    "SB STD STach TAb TInv VPB",
    "JS": "AF AFL BBB CLBBB CRBBB IAVB IRBBB LAD LAnFB LBBB LPR LQRSV LQT LVH LVHV NSIVCB NSR PAC PACE PRWP PVC QAb "
    "RAD RBBB SA SB STD STach TAb TInv VPB",
}
USED = {prefix: frozenset(keys.split()) for prefix, keys in _USED.items()}


def open_challenge(folder: Path) -> Source:
    """Every record below a folder; splits by the hash of the record, since the challenge names no patients.

    Raises:
        TrainingError: no record.
    """
    headers = sorted(folder.rglob("*.hea"))
    if not headers:
        raise TrainingError(f"{folder} holds no WFDB header")
    comments = {header: read_comments(header) for header in headers}
    foreign = (statements_of(_codes(of_record)) for header, of_record in comments.items() if not _used(header.stem))
    stated = frozenset[str]().union(*foreign)
    entries = tuple(_entry(header, of_record, stated) for header, of_record in comments.items())
    known = frozenset[str]().union(*(entry.known for entry in entries))
    keys = tuple(key for key in VOCABULARY if key in known)
    return Source("challenge", keys, entries, read_challenge, own_splits=False)


def read_challenge(entry: Entry) -> Recording:
    """The signal of an entry, in mV also where its header gives a resolution as a gain."""
    recording = read_wfdb(entry)
    lines = entry.path.read_text(errors="replace").splitlines()[1 : 1 + len(recording.leads)]
    if not all(f" {WRONG_GAIN:.0f}/mV " in line for line in lines):
        return recording
    return replace(recording, signal_mv=recording.signal_mv * (WRONG_GAIN / RIGHT_GAIN))


def _entry(header: Path, comments: dict[str, str], stated: frozenset[str]) -> Entry:
    codes = _codes(comments)
    present = statements_of(codes)
    known = known_of(header.stem, present, stated) if codes else frozenset()
    return Entry(
        record=header.stem,
        path=header,
        signal_file=signal_file(header),
        split=split_by_patient(header.stem),
        present=present,
        known=known | present,
        age=read_age(comments.get("age")),
        sex={"m": "male", "f": "female"}.get(comments.get("sex", "")[:1].lower(), ""),
    )


def _codes(comments: dict[str, str]) -> list[str]:
    return [code.strip() for code in comments.get("dx", "").split(",") if code.strip().isdigit()]


def statements_of(codes: list[str]) -> frozenset[str]:
    """Keys that SNOMED CT codes state; codes outside the vocabulary state nothing."""
    named = (SYNONYMS.get(code, code) for code in codes)
    keys = frozenset[str]().union(*(_KEYS_OF.get(code, frozenset()) for code in named))
    keys = keys.union(*(group for group in EQUIVALENT if group & keys))
    return keys | {general for general, kinds in KINDS.items() if kinds & keys}


def known_of(record: str, present: frozenset[str], stated: frozenset[str] = frozenset()) -> frozenset[str]:
    """Keys that a record's database decides.

    Args:
        record: whose first letters tell the database.
        present: keys that it states.
        stated: keys that any record of an unknown database states, all of which that database then decides.
    """
    used = _used(record) or stated
    known = used.union(*(group for group in EQUIVALENT if group & used))
    known |= {general for general, kinds in KINDS.items() if kinds & known}
    return known - {"NSR"} if present & SINUS and "NSR" not in present else known


def _used(record: str) -> frozenset[str]:
    """What the database of a record uses; empty for one that is not known."""
    letters = re.match(r"[A-Za-z]*", record)
    return USED.get(letters.group().upper() if letters else "", frozenset())
