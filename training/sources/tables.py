"""Tables of records: CSV files read whole, with an error that names the file and the missing column."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.errors import TrainingError

Row = dict[str, str]


def read_table(path: Path, columns: Sequence[str]) -> list[Row]:
    """Rows of a CSV file with a header line, blanks around cells left out; a cell that a row lacks is empty.

    Raises:
        TrainingError: no such file, not text, one of `columns` is missing, or a row has a cell too many.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            rows = [_row(cells, path, reader.line_num) for cells in reader]
            found = reader.fieldnames or []
    except FileNotFoundError:
        raise TrainingError(f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{path} cannot be read: {type(error).__name__}") from None
    if missing := [name for name in columns if name not in found]:
        raise TrainingError(f"{path} has no column {missing[0]!r}; it has {', '.join(found)}")
    return rows


def _row(cells: dict[str | None, Any], path: Path, line: int) -> Row:
    if any(cells.pop(None, ())):
        raise TrainingError(f"{path}: line {line} has more cells than the first")
    return {str(name): cell.strip() for name, cell in cells.items()}


def read_number(text: str | None) -> float | None:
    """A number from a cell; None for an empty one or one that is no number."""
    try:
        return float(text or "")
    except ValueError:
        return None


def read_age(text: str | None) -> float | None:
    """Years of age; None where unknown or negative. PTB-XL writes 300 for everyone over 89: given as 90."""
    age = read_number(text)
    if age is None or not age >= 0:
        return None
    return 90.0 if age > 120 else age


def read_keys(cell: str) -> frozenset[str]:
    """Keys separated by `|`."""
    return frozenset(key.strip() for key in cell.split("|") if key.strip())
