"""A folder of WFDB records with one table, labels.csv: how a hospital brings its own.

Columns: `record` (path of a record below the folder, with or without .hea), `superclasses` and `statements` (keys of
the vocabulary, separated by `|`; an empty cell says that nothing is known, `none` that it was looked for and not
found), and where there are such, `split` (train, val, test), `patient`, `age`, `sex` (female, male). Without splits,
patients are divided 80:10:10 by the hash of their id. A statement is known to a record whose cell is filled if it
occurs anywhere in that column, or is listed as a `key` in statements.csv beside the table.
"""

from dataclasses import dataclass
from pathlib import Path

from model.reading.statements import SUPERCLASSES, VOCABULARY
from training.errors import TrainingError
from training.sources.catalogue import (
    Entry,
    Source,
    read_wfdb,
    require_keys,
    require_patients_apart,
    require_split,
    split_by_patient,
)
from training.sources.ptbxl import open_ptbxl
from training.sources.tables import Row, read_age, read_keys, read_table
from training.sources.wfdb_headers import signal_file

TABLE = "labels.csv"
LOOKED_FOR = "statements.csv"
NOTHING = "none"
SEXES = ("female", "male", "")
SUPERCLASS_KEYS = frozenset(statement.key for statement in SUPERCLASSES)


@dataclass(frozen=True)
class _Known:
    """What a filled cell of each column decides."""

    superclasses: frozenset[str]
    statements: frozenset[str]


def open_wfdb_folder(folder: Path) -> Source:
    """A folder of WFDB records with labels.csv; PTB-XL's shared layout is one.

    Raises:
        TrainingError: no table, or an unknown statement, split, sex or record in it, a record that stands in it twice,
            or a patient in two splits.
    """
    table = folder / TABLE
    rows = read_table(table, ())
    if rows and "ecg_id" in rows[0]:
        return open_ptbxl(folder)
    rows = read_table(table, ("record", "superclasses", "statements"))
    known = _known(folder, rows)
    entries = tuple(_entry(folder, row, known) for row in rows)
    _require_once(entries, table)
    require_patients_apart(entries, table)
    keys = known.superclasses | known.statements
    vocabulary = tuple(key for key in VOCABULARY if key in keys)
    return Source("wfdb-folder", vocabulary, entries, read_wfdb, own_splits=any(row.get("split") for row in rows))


def _known(folder: Path, rows: list[Row]) -> _Known:
    superclasses = frozenset[str]().union(*(_stated(row["superclasses"]) for row in rows))
    statements = frozenset[str]().union(*(_stated(row["statements"]) for row in rows))
    _require_in_place(superclasses, statements, folder / TABLE)
    if (folder / LOOKED_FOR).exists():
        listed = frozenset(row["key"] for row in read_table(folder / LOOKED_FOR, ("key",)))
        require_keys(listed, folder / LOOKED_FOR)
        statements |= listed - SUPERCLASS_KEYS
    return _Known(SUPERCLASS_KEYS if superclasses else frozenset(), statements)


def _require_in_place(superclasses: frozenset[str], statements: frozenset[str], table: Path) -> None:
    require_keys(superclasses | statements, table)
    if wrong := sorted(superclasses - SUPERCLASS_KEYS):
        raise TrainingError(f"{table}: {wrong[0]!r} is no superclass; its column is statements")
    if wrong := sorted(statements & SUPERCLASS_KEYS):
        raise TrainingError(f"{table}: {wrong[0]!r} is a superclass; its column is superclasses")


def _require_once(entries: tuple[Entry, ...], table: Path) -> None:
    seen: set[Path] = set()
    for entry in entries:
        if entry.path in seen:
            raise TrainingError(f"{table}: record {entry.record!r} stands twice")
        seen.add(entry.path)


def _entry(folder: Path, row: Row, known: _Known) -> Entry:
    path = folder / row["record"]
    header = path if path.suffix == ".hea" else path.with_name(path.name + ".hea")
    if not header.resolve().is_relative_to(folder.resolve()):
        raise TrainingError(f"{folder / TABLE}: record {row['record']!r} is not below the folder")
    patient = row.get("patient") or ""
    filled = (known.superclasses if row["superclasses"] else frozenset()) | (
        known.statements if row["statements"] else frozenset()
    )
    return Entry(
        record=row["record"],
        path=header,
        signal_file=signal_file(header),
        split=require_split(row["split"], folder / TABLE)
        if row.get("split")
        else split_by_patient(patient or row["record"]),
        present=_stated(row["superclasses"]) | _stated(row["statements"]),
        known=filled,
        patient=patient,
        age=read_age(row.get("age")),
        sex=_sex(row.get("sex", ""), folder / TABLE),
    )


def _sex(cell: str, table: Path) -> str:
    if cell.lower() not in SEXES:
        raise TrainingError(f"{table}: unknown sex {cell!r}; female, male or empty")
    return cell.lower()


def _stated(cell: str) -> frozenset[str]:
    return read_keys(cell) - {NOTHING}
