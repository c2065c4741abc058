"""PTB-XL on disk: the table as published, or the shared layout of labels.csv with a part of the published table.

Wagner et al., "PTB-XL, a large publicly available electrocardiography dataset", 2020 (doi:10.13026/kfzx-aw45). Labels
follow the benchmark of Strodthoff et al., 2020: a statement counts at any likelihood, a superclass is the class of any
diagnostic statement, folds 1-8 train, 9 val, 10 test. Keys and SNOMED CT codes are those of the PhysioNet challenge.
"""

import ast
from dataclasses import replace
from pathlib import Path

from model.reading.statements import SUPERCLASSES, VOCABULARY
from training.errors import TrainingError
from training.sources.catalogue import Entry, Source, Split, read_wfdb, require_keys, require_split
from training.sources.tables import Row, read_age, read_keys, read_number, read_table

PUBLISHED_TABLE = "ptbxl_database.csv"
PARTIAL_TABLE = "ptbxl_database_partial.csv"
SHARED_TABLE = "labels.csv"
SCP_TABLE = "scp_statements.csv"
# The published records, what is preferred first: a window has 250 Hz, of which 100 Hz records hold nothing above 50.
COLUMN_OF_RATE = {"records500": "filename_hr", "records100": "filename_lr"}

# SCP-ECG codes of each statement of labels.csv, as the challenge's translation of the published table has them (the two
# agree on every one of the 5,568 records that both name); axis deviations come from the column heart_axis.
SCP_OF_STATEMENT: dict[str, frozenset[str]] = {
    "AF": frozenset({"AFIB"}),
    "AFL": frozenset({"AFLT"}),
    "CRBBB": frozenset({"CRBBB"}),
    "IAVB": frozenset({"1AVB"}),
    "IRBBB": frozenset({"IRBBB"}),
    "LAnFB": frozenset({"LAFB"}),
    "LBBB": frozenset({"CLBBB"}),
    "LPR": frozenset({"LPR"}),
    "LQRSV": frozenset({"LVOLT"}),
    "LQT": frozenset({"LNGQT"}),
    "NSIVCB": frozenset({"IVCD"}),
    "NSR": frozenset({"SR", "NORM"}),
    "PAC": frozenset({"PAC"}),
    "PACE": frozenset({"PACE"}),
    "QAb": frozenset({"QWAVE"}),
    "SA": frozenset({"SARRH"}),
    "SB": frozenset({"SBRAD"}),
    "STach": frozenset({"STACH"}),
    "SVPB": frozenset({"SVARR"}),
    "TAb": frozenset({"NDT", "LOWT", "NT_", "TAB_"}),
    "TInv": frozenset({"INVT"}),
}
AXIS_OF_STATEMENT = {"LAD": frozenset({"LAD", "ALAD"}), "RAD": frozenset({"RAD", "ARAD"})}

# Statements that labels.csv does not hold, known only where the published table says so; infarction by site is the
# benchmark's diagnostic subclass.
SCP_OF_EXTRA: dict[str, frozenset[str]] = {
    "PVC": frozenset({"PVC"}),
    "AMI": frozenset({"AMI", "ASMI", "ALMI", "INJAS", "INJAL", "INJLA"}),
    "IMI": frozenset({"IMI", "ILMI", "IPMI", "IPLMI", "INJIN", "INJIL"}),
    "LMI": frozenset({"LMI"}),
    "STD": frozenset({"STD_"}),
    "LVH": frozenset({"LVH"}),
    "LPFB": frozenset({"LPFB"}),
    "LAE": frozenset({"LAO/LAE"}),
    "ILBBB": frozenset({"ILBBB"}),
    "LVHV": frozenset({"VCLVH"}),
    "MIs": frozenset({"ISC_", "ISCAL", "ISCIN", "ISCIL", "ISCAS", "ISCLA", "ISCAN"}),
}

SUPERCLASS_KEYS = frozenset(statement.key for statement in SUPERCLASSES)
STATEMENT_KEYS = frozenset(SCP_OF_STATEMENT) | frozenset(AXIS_OF_STATEMENT)
EXTRA_KEYS = frozenset(SCP_OF_EXTRA)
SEXES = {"0": "male", "1": "female"}


BENCHMARK = ("super", "sub", "all", "form", "rhythm")
"""Label groups of the benchmark, for comparison with published figures; their keys are `group/name`, but for super."""


def open_ptbxl(folder: Path, labels: str | None = None) -> Source:
    """PTB-XL as published (`ptbxl_database.csv`), or in the shared layout (`labels.csv`).

    Args:
        folder: with one of the tables.
        labels: a label group of the benchmark in place of the vocabulary; the published table is needed for it.

    Raises:
        TrainingError: neither table is there, or one has a split, statement or column that is not known.
    """
    if labels is not None:
        return _open_benchmark(folder, labels)
    if (folder / PUBLISHED_TABLE).exists():
        entries = _published_entries(folder)
    elif (folder / SHARED_TABLE).exists():
        entries = _shared_entries(folder)
    else:
        raise TrainingError(f"{folder} has neither {PUBLISHED_TABLE} nor {SHARED_TABLE}")
    known = frozenset[str]().union(*(entry.known for entry in entries))
    return Source("ptbxl", tuple(key for key in VOCABULARY if key in known), entries, read_wfdb)


def _shared_entries(folder: Path) -> tuple[Entry, ...]:
    """Records of labels.csv; those in the partial table know of further statements and of their patient."""
    table = folder / SHARED_TABLE
    rows = read_table(table, ("ecg_id", "split", "superclasses", "statements", "age", "sex"))
    partial = {}
    if (folder / PARTIAL_TABLE).exists():
        extras = folder / PARTIAL_TABLE
        partial = {_number(row, extras): row for row in _published_rows(extras)}
    entries = ((_number(row, table), _shared_entry(folder, table, row)) for row in rows)
    return tuple(_with_extras(entry, partial[number]) if number in partial else entry for number, entry in entries)


def _shared_entry(folder: Path, table: Path, row: Row) -> Entry:
    number = _number(row, table)
    superclasses, statements = read_keys(row["superclasses"]), read_keys(row["statements"])
    require_keys(superclasses | statements, table)
    path = folder / "records100" / f"{number // 1000 * 1000:05d}" / f"{number:05d}_lr.hea"
    return Entry(
        record=row["ecg_id"],
        path=path,
        signal_file=path.with_suffix(".dat"),
        split=require_split(row["split"], table),
        present=superclasses | statements,
        known=(SUPERCLASS_KEYS if superclasses else frozenset()) | (STATEMENT_KEYS if statements else frozenset()),
        age=read_age(row["age"]),
        sex=row["sex"],
    )


def _number(row: Row, table: Path) -> int:
    try:
        return int(row["ecg_id"])
    except ValueError:
        raise TrainingError(f"{table}: ecg_id is {row['ecg_id']!r}, wanted a whole number") from None


def _with_extras(entry: Entry, row: Row) -> Entry:
    codes = _scp_codes(row)
    extras = frozenset(key for key, of in SCP_OF_EXTRA.items() if codes & of)
    return replace(
        entry, present=entry.present | extras, known=entry.known | EXTRA_KEYS, patient=_patient(row["patient_id"])
    )


def _open_benchmark(folder: Path, group: str) -> Source:
    """A label group of the benchmark; a record without any label of the group is unknown in it, as there."""
    if group not in BENCHMARK:
        raise TrainingError(f"unknown label group {group!r}; one of {', '.join(BENCHMARK)}")
    key_of = _benchmark_keys(folder / SCP_TABLE, group)
    keys = tuple(dict.fromkeys(key_of.values()))
    codes = {row["ecg_id"]: _scp_codes(row) for row in _published_rows(folder / PUBLISHED_TABLE)}
    present = {
        record: frozenset(key_of[code] for code in of_record if code in key_of) for record, of_record in codes.items()
    }
    entries = tuple(
        replace(
            entry,
            present=present[entry.record],
            known=frozenset(keys if present[entry.record] or group == "all" else ()),
        )
        for entry in _published_entries(folder)
    )
    return Source("ptbxl", keys, entries, read_wfdb)


def _benchmark_keys(table: Path, group: str) -> dict[str, str]:
    """SCP-ECG code to key of the group, for the codes that are in it."""
    rows = read_table(table, ("", "diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass"))
    if group == "super":
        return {row[""]: row["diagnostic_class"] for row in rows if read_number(row["diagnostic"]) == 1.0}
    if group == "sub":
        return {row[""]: f"sub/{row['diagnostic_subclass']}" for row in rows if read_number(row["diagnostic"]) == 1.0}
    return {row[""]: f"{group}/{row['']}" for row in rows if group == "all" or read_number(row[group]) == 1.0}


def _published_entries(folder: Path) -> tuple[Entry, ...]:
    """Records of the official table, at 500 Hz where both rates lie; all that its statements can say is known."""
    classes = {
        row[""]: row["diagnostic_class"]
        for row in read_table(folder / SCP_TABLE, ("", "diagnostic", "diagnostic_class"))
        if read_number(row["diagnostic"]) == 1.0
    }
    column = next((column for rate, column in COLUMN_OF_RATE.items() if (folder / rate).is_dir()), None)
    if column is None:
        raise TrainingError(f"{folder} has neither {' nor '.join(COLUMN_OF_RATE)}")
    return tuple(
        _published_entry(folder, folder / f"{row[column]}.hea", row, classes)
        for row in _published_rows(folder / PUBLISHED_TABLE)
    )


def _published_entry(folder: Path, path: Path, row: Row, classes: dict[str, str]) -> Entry:
    codes = _scp_codes(row)
    superclasses = frozenset(classes[code] for code in codes if code in classes)
    require_keys(superclasses, folder / SCP_TABLE)
    said = SCP_OF_STATEMENT | SCP_OF_EXTRA
    present = frozenset(key for key, of in said.items() if codes & of)
    axes = frozenset(key for key, of in AXIS_OF_STATEMENT.items() if row["heart_axis"] in of)
    return Entry(
        record=row["ecg_id"],
        path=path,
        signal_file=path.with_suffix(".dat"),
        split=_split_of_fold(row["strat_fold"]),
        present=superclasses | present | axes,
        known=(SUPERCLASS_KEYS if superclasses else frozenset()) | STATEMENT_KEYS | EXTRA_KEYS,
        patient=_patient(row["patient_id"]),
        age=read_age(row["age"]),
        sex=SEXES.get(row["sex"], ""),
    )


def _published_rows(table: Path) -> list[Row]:
    columns = ("ecg_id", "patient_id", "age", "sex", "scp_codes", "heart_axis", "strat_fold")
    return read_table(table, columns)


def _scp_codes(row: Row) -> frozenset[str]:
    """Codes of a record whatever their likelihood; zero means `not stated`, not `absent`."""
    try:
        codes = ast.literal_eval(row["scp_codes"])
        return frozenset(codes.keys())
    except (ValueError, SyntaxError, AttributeError):
        raise TrainingError(f"record {row['ecg_id']}: scp_codes is not a dictionary of codes") from None


def _split_of_fold(fold: str) -> Split:
    number = read_number(fold)
    if number is None or number not in range(1, 11):
        raise TrainingError(f"strat_fold is {fold!r}, wanted 1 to 10")
    if number == 10:
        return "test"
    return "val" if number == 9 else "train"


def _patient(cell: str) -> str:
    return cell.removesuffix(".0")
