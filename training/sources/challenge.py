"""PhysioNet challenge records: SNOMED CT codes in the `#Dx` line of each header, from several databases at once.

Reyna et al., "Will Two Do? Varying Dimensions in Electrocardiography: The PhysioNet/Computing in Cardiology Challenge
2021". Which diagnoses a database uses at all is from the challenge's tables of diagnoses: a diagnosis that a database
never uses is unknown in its records, not absent.
"""

import re
from pathlib import Path

from model.reading.statements import FURTHER_STATEMENTS, STATEMENTS, VOCABULARY
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
SYNONYMS = {"164884008": "427172004"}  # ventricular ectopics: premature ventricular contractions

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
    entries = tuple(_entry(header) for header in headers)
    known = frozenset[str]().union(*(entry.known for entry in entries))
    return Source("challenge", tuple(key for key in VOCABULARY if key in known), entries, read_wfdb)


def _entry(header: Path) -> Entry:
    comments = read_comments(header)
    present = statements_of(comments["dx"].split(",")) if "dx" in comments else frozenset()
    known = known_of(header.stem, present) if "dx" in comments else frozenset()
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


def statements_of(codes: list[str]) -> frozenset[str]:
    """Keys that SNOMED CT codes state; codes outside the vocabulary state nothing."""
    named = (SYNONYMS.get(code.strip(), code.strip()) for code in codes)
    keys = frozenset[str]().union(*(_KEYS_OF.get(code, frozenset()) for code in named))
    return keys.union(*(group for group in EQUIVALENT if group & keys))


def known_of(record: str, present: frozenset[str]) -> frozenset[str]:
    """Keys that a record's database decides; for a database that is not known, only what is stated."""
    letters = re.match(r"[A-Za-z]*", record)
    used = USED.get(letters.group().upper() if letters else "", frozenset())
    known = used.union(*(group for group in EQUIVALENT if group & used))
    return known - {"NSR"} if present & SINUS and "NSR" not in present else known
