"""The vocabulary of diagnostic statements: key, name, group and SNOMED CT code, in the order of the outputs.

Superclasses follow Strodthoff et al., "Deep Learning for ECG Analysis: Benchmarks and Insights from PTB-XL", 2020;
statements and their SNOMED CT codes follow the PhysioNet/Computing in Cardiology Challenge 2021.
"""

from dataclasses import dataclass
from typing import Literal

Group = Literal["superclass", "statement"]


@dataclass(frozen=True)
class Statement:
    """One diagnostic statement.

    Attributes:
        key: stable name in bundles, labels and answers.
        name: in words.
        group: `superclass` or `statement`.
        snomed_ct: SNOMED CT concept id, the nearest that holds; superclasses have none.
    """

    key: str
    name: str
    group: Group
    snomed_ct: str | None


SUPERCLASSES = (
    Statement("NORM", "normal ECG", "superclass", None),
    Statement("MI", "myocardial infarction", "superclass", None),
    Statement("STTC", "ST/T change", "superclass", None),
    Statement("CD", "conduction disturbance", "superclass", None),
    Statement("HYP", "hypertrophy", "superclass", None),
)

# The thirty that the challenge scored.
STATEMENTS = (
    Statement("AF", "atrial fibrillation", "statement", "164889003"),
    Statement("AFL", "atrial flutter", "statement", "164890007"),
    Statement("BBB", "bundle branch block", "statement", "6374002"),
    Statement("Brady", "bradycardia", "statement", "426627000"),
    Statement("CLBBB", "complete left bundle branch block", "statement", "733534002"),
    Statement("CRBBB", "complete right bundle branch block", "statement", "713427006"),
    Statement("IAVB", "1st degree AV block", "statement", "270492004"),
    Statement("IRBBB", "incomplete right bundle branch block", "statement", "713426002"),
    Statement("LAD", "left axis deviation", "statement", "39732003"),
    Statement("LAnFB", "left anterior fascicular block", "statement", "445118002"),
    Statement("LBBB", "left bundle branch block", "statement", "164909002"),
    Statement("LPR", "prolonged PR interval", "statement", "164947007"),
    Statement("LQRSV", "low QRS voltages", "statement", "251146004"),
    Statement("LQT", "prolonged QT interval", "statement", "111975006"),
    Statement("NSIVCB", "nonspecific intraventricular conduction disorder", "statement", "698252002"),
    Statement("NSR", "sinus rhythm", "statement", "426783006"),
    Statement("PAC", "premature atrial contraction", "statement", "284470004"),
    Statement("PACE", "pacing rhythm", "statement", "10370003"),
    Statement("PRWP", "poor R wave progression", "statement", "365413008"),
    Statement("PVC", "premature ventricular contractions", "statement", "427172004"),
    Statement("QAb", "Q wave abnormal", "statement", "164917005"),
    Statement("RAD", "right axis deviation", "statement", "47665007"),
    Statement("RBBB", "right bundle branch block", "statement", "59118001"),
    Statement("SA", "sinus arrhythmia", "statement", "427393009"),
    Statement("SB", "sinus bradycardia", "statement", "426177001"),
    Statement("STach", "sinus tachycardia", "statement", "427084000"),
    Statement("SVPB", "supraventricular premature beats", "statement", "63593006"),
    Statement("TAb", "T wave abnormal", "statement", "164934002"),
    Statement("TInv", "T wave inversion", "statement", "59931005"),
    Statement("VPB", "ventricular premature beats", "statement", "17338001"),
)

# What a hospital also expects; codes of the challenge's unscored diagnoses.
FURTHER_STATEMENTS = (
    # Infarction by site, of any age: SNOMED CT has sites for acute and for old infarction alone, so these carry the
    # concept of the finding without its site, 164865005 "ECG: myocardial infarction".
    Statement("AMI", "anterior myocardial infarction", "statement", "164865005"),
    Statement("IMI", "inferior myocardial infarction", "statement", "164865005"),
    Statement("LMI", "lateral myocardial infarction", "statement", "164865005"),
    Statement("ILBBB", "incomplete left bundle branch block", "statement", "251120003"),
    Statement("LAE", "left atrial enlargement", "statement", "67741000119109"),
    Statement("LPFB", "left posterior fascicular block", "statement", "445211001"),
    Statement("LVH", "left ventricular hypertrophy", "statement", "164873001"),
    Statement("LVHV", "left ventricular high voltage", "statement", "55827005"),
    Statement("MIs", "myocardial ischaemia", "statement", "164861001"),
    Statement("STD", "ST depression", "statement", "429622005"),
)

# A statement that holds wherever one of its kinds does: SNOMED CT's `is a`.
KINDS: dict[str, frozenset[str]] = {"BBB": frozenset({"CLBBB", "CRBBB", "ILBBB", "IRBBB", "LBBB", "RBBB"})}

VOCABULARY: dict[str, Statement] = {
    statement.key: statement for statement in SUPERCLASSES + STATEMENTS + FURTHER_STATEMENTS
}
