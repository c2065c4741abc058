"""What a WFDB header says besides the signal: the file of samples and the comments of the PhysioNet challenges."""

from pathlib import Path

from model.files.wfdb_header import MAX_HEADER_BYTES


def signal_file(header: Path) -> Path | None:
    """The file of samples beside a header: the .dat or .mat of the same name; None where there is neither."""
    beside = (header.with_suffix(suffix) for suffix in (".dat", ".mat"))
    return next((path for path in beside if path.exists()), None)


def read_comments(header: Path) -> dict[str, str]:
    """Comments of the form `#Name: value`, by their name in lower case; none if the header cannot be read."""
    try:
        with header.open("rb") as file:
            lines = file.read(MAX_HEADER_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.lstrip("# ").partition(":") for line in lines if line.startswith("#"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
