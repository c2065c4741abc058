"""The command `ecg`: read an ECG here or by a server, delineate a record, serve, make a key."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from model.errors import BundleError, EcgError, EngineError
from service.errors import ParameterError, SettingsError

if TYPE_CHECKING:
    from model.reader import Part
    from service.clients import Answer, Where

WELL, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
UNHEARD = 141
"""What a shell says of a program that the closed pipe ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        Exit status: 0 well, 1 an ECG could not be read, 2 misused or misconfigured, 141 whoever read the output left.
    """
    asked = _parser().parse_args(arguments)
    try:
        return _heard(asked)
    except (SettingsError, BundleError, EngineError, ParameterError) as error:
        return _complain(error.detail, MISUSED)
    except EcgError as error:
        return _complain(error.detail, FAILED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
        return UNHEARD
    except OSError as error:
        return _complain(f"the file cannot be read: {error.strerror or type(error).__name__}", FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED


def _heard(asked: argparse.Namespace) -> int:
    """Run what was asked for; raises BrokenPipeError where whoever reads the output has left."""
    run: Callable[[argparse.Namespace], int] = asked.run
    status = run(asked)
    sys.stdout.flush()  # or a small output would meet the closed pipe after the end
    return status


def serve(_: argparse.Namespace) -> int:
    """`ecg serve`: serve until a stop signal; settings come from the environment."""
    from service.server import run
    from service.settings import read_settings

    run(read_settings())
    return WELL


def read(asked: argparse.Namespace) -> int:
    """`ecg read`: the answers to files and to every ECG in folders; one that fails does not stop the others."""
    from service.clients import Problem, answers

    parts, where = _parts(asked), _where(asked)
    with _named(asked.paths) as names:
        if not names:
            return _complain("there is no .hea, .json or .zip in what was named", FAILED)
        say = _speaker(asked, alone=len(names) == 1 and not asked.paths[0].is_dir())
        failed = 0
        # One ECG is answered here without a process of its own.
        jobs = asked.jobs or (1 if len(names) == 1 else 0)
        for path, answer in _progress(answers(where, names, parts, jobs), len(names)):
            failed += isinstance(answer, Problem)
            say(names[path], answer)
    return FAILED if failed else WELL


def waves(asked: argparse.Namespace) -> int:
    """`ecg waves`: P, QRS and T of a WFDB record of any leads and any length."""
    from model.files import read_record
    from model.reading.cautions import caution
    from service.sources import waves_of

    recording = read_record(asked.path, uncalibrated=True)
    for note in recording.notes:
        _warn(caution(note))
    by_lead = waves_of(recording, asked.bundle)
    found = {name: [asdict(wave) for wave in lead] for name, lead in by_lead.items()}
    if asked.json:
        _print(json.dumps({"waves": found}))
        return WELL
    for name, lead in found.items():
        for wave in lead:
            times = "  ".join(f"{wave[edge]:10.1f}" for edge in ("onset_ms", "peak_ms", "offset_ms"))
            _print(f"{name:8} {wave['wave']:4} {times}  {wave['confidence']:.2f}")
    return WELL


def key(asked: argparse.Namespace) -> int:
    """`ecg key`: a fresh API key for its owner, and the line that lets it in."""
    from service.security import new_key

    secret, line = new_key(asked.name, frozenset(asked.scopes), asked.expires)
    _print(f"Give this to {asked.name}, once; it is stored nowhere:\n  {secret}")
    _print(f"Add this line to the file that ECG_API_KEYS names:\n  {line}")
    return WELL


def audit(asked: argparse.Namespace) -> int:
    """`ecg audit`: whether every line of an audit log follows from the one before."""
    from service.audit import FIRST, verify

    found = verify(*asked.paths, after=asked.after or FIRST)
    _print(f"{found.lines} lines, each following from the one before; the last is {found.last}")
    return WELL


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ecg", description="Reads 12-lead ECGs; decision support for clinicians.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    _add_read(commands.add_parser("read", help="answer ECGs in files or in folders, here or by a server"))
    delineating = commands.add_parser("waves", help="delineate a WFDB record: any leads, any length")
    delineating.add_argument("path", type=Path, help="the WFDB header")
    delineating.add_argument("--json", action="store_true", help='as JSON: {"waves": {lead: [...]}}')
    delineating.add_argument("--bundle", type=Path, help="folder of the bundle; without it the one that ships")
    delineating.set_defaults(run=waves)

    serving = commands.add_parser("serve", help="serve over HTTP; settings come from ECG_* in the environment")
    serving.set_defaults(run=serve)

    making = commands.add_parser("key", help="make an API key")
    making.add_argument("name", help="id of its owner, for the log: letters, digits, dots, dashes, underscores")
    making.add_argument("--scopes", nargs="+", choices=("read", "metrics", "admin"), default=("read",))
    making.add_argument(
        "--expires", type=_moment, metavar="DATE", help="when it ends, such as 2027-01-31 (UTC); without it, never"
    )
    making.set_defaults(run=key)

    auditing = commands.add_parser("audit", help="verify the log that ECG_AUDIT names")
    auditing.add_argument("paths", type=Path, nargs="+", help="its files, oldest first where it was rotated")
    auditing.add_argument(
        "--after", metavar="HASH", help="hash of the line before the first, where older files are not at hand"
    )
    auditing.set_defaults(run=audit)
    return parser


def _add_read(reading: argparse.ArgumentParser) -> None:
    paths = "a WFDB header, .json or .zip, a folder of them, or - for a .json or .zip on stdin"
    reading.add_argument("paths", type=Path, nargs="+", metavar="path", help=paths)
    form = reading.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the service's answers as JSON, one ECG a line")
    form.add_argument("--csv", action="store_true", help="a row an ECG: quality, measurements, probabilities")
    reading.add_argument("--include", help="comma list of findings, measurements, waves, embedding, plot")
    second = "warn where a classical method measures QRS or QT otherwise"
    reading.add_argument("--second-opinion", action="store_true", help=second)
    where = reading.add_mutually_exclusive_group()
    where.add_argument("--bundle", type=Path, help="folder of the bundle; without it the one that ships")
    where.add_argument(
        "--url",
        default=os.environ.get("ECG_URL"),
        help="ask this server (default: ECG_URL), with the key in ECG_API_KEY",
    )
    jobs = "ECGs at a time: requests to the server (default 4), or processes here (default one a core)"
    reading.add_argument("--jobs", type=_count, default=0, metavar="N", help=jobs)
    patience = "seconds for which a busy server is asked again for an ECG (default 60)"
    reading.add_argument("--patience", type=float, default=60.0, metavar="S", help=patience)
    reading.set_defaults(run=read)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError("wanted a number of 1 or more")
    return int(text)


def _moment(text: str) -> datetime:
    """A date or a time, in UTC where it does not say; raises ArgumentTypeError."""
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("wanted a date such as 2027-01-31") from None
    return said if said.tzinfo else said.replace(tzinfo=UTC)


def _where(asked: argparse.Namespace) -> "Where":
    from service.clients import Where
    from service.settings import read_settings

    url = None if asked.bundle else asked.url
    return Where(url, os.environ.get("ECG_API_KEY"), asked.patience, asked.bundle, read_settings())


def _parts(asked: argparse.Namespace) -> "frozenset[Part]":
    from service.parts import parse_parts

    second = ["true"] if asked.second_opinion else []
    return parse_parts([] if asked.include is None else [asked.include], second)


@contextmanager
def _named(paths: Sequence[Path]) -> Iterator[dict[Path, str]]:
    """Every ECG by its path, with what it is called; `-` is what comes on stdin."""
    from service.sources import ecgs_in

    with TemporaryDirectory() as folder:
        names: dict[Path, str] = {}
        for path in paths:
            if str(path) == "-":
                names[_from_stdin(Path(folder))] = "stdin"
            elif path.is_dir():
                names |= {one: str(one.relative_to(path)) for one in ecgs_in(path)}
            else:
                names[path] = path.name
        yield names


def _from_stdin(folder: Path) -> Path:
    """The JSON or .zip that comes on stdin, as a file."""
    body = sys.stdin.buffer.read()
    path = folder / ("stdin.zip" if body.startswith(b"PK") else "stdin.json")
    path.write_bytes(body)
    return path


def _speaker(asked: argparse.Namespace, *, alone: bool) -> "Callable[[str, Answer], None]":
    """What says an answer in the form that was asked for; an ECG that is alone needs no name."""
    from service.tables import CSV_HEADER

    if asked.csv:
        _print(CSV_HEADER)
        return _say_csv
    if asked.json:
        return _say_alone if alone else _say_line
    return partial(_say_table, named=not alone)


def _say_table(name: str, answer: "Answer", *, named: bool) -> None:
    from service.schemas import AnswerBody
    from service.tables import answer_table

    if isinstance(answer, bytes):
        _print(answer_table(AnswerBody.model_validate_json(answer), name))
    else:
        _complain(f"{name}: {answer.detail}" if named else answer.detail, FAILED)


def _say_alone(name: str, answer: "Answer") -> None:
    del name
    if isinstance(answer, bytes):
        _print(answer.decode())
    else:
        _complain(answer.detail, FAILED)


def _say_line(name: str, answer: "Answer") -> None:
    said = json.loads(answer) if isinstance(answer, bytes) else asdict(answer)
    _print(json.dumps({"path": name} | said))


def _say_csv(name: str, answer: "Answer") -> None:
    from service.schemas import AnswerBody
    from service.tables import csv_row

    if isinstance(answer, bytes):
        _print(csv_row(name, AnswerBody.model_validate_json(answer)))
    else:
        _print(csv_row(name, None, problem=answer.code))


def _progress(found: "Iterable[tuple[Path, Answer]]", total: int) -> "Iterable[tuple[Path, Answer]]":
    """The answers, behind a bar where a person watches the errors and not the answers."""
    from tqdm import tqdm

    hidden = total == 1 or not sys.stderr.isatty() or sys.stdout.isatty()
    bar: Iterable[tuple[Path, Answer]] = tqdm(found, total=total, unit="ECG", smoothing=0.05, disable=hidden)
    return bar


def _print(text: str) -> None:
    print(text)  # noqa: T201 - a command says its answer on stdout


def _complain(detail: str, status: int) -> int:
    _warn(detail)
    return status


def _warn(detail: str) -> None:
    print(f"ecg: {detail}", file=sys.stderr)  # noqa: T201 - one line on stderr
