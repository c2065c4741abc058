"""The command `ecg`: read an ECG here or by a server, delineate a record, serve, make a key."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from model.errors import BundleError, EcgError, EngineError
from service.errors import ParameterError, SettingsError

if TYPE_CHECKING:
    from model.reader import Part
    from service.sources import Source

WELL, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        Exit status: 0 well, 1 an ECG could not be read, 2 misused or misconfigured.
    """
    asked = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = asked.run
    try:
        return run(asked)
    except (SettingsError, BundleError, EngineError, ParameterError) as error:
        return _complain(error.detail, MISUSED)
    except EcgError as error:
        return _complain(error.detail, FAILED)
    except OSError as error:
        return _complain(f"the file cannot be read: {type(error).__name__}", FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED


def serve(_: argparse.Namespace) -> int:
    """`ecg serve`: serve until a stop signal; settings come from the environment."""
    from service.server import run
    from service.settings import read_settings

    run(read_settings())
    return WELL


def read(asked: argparse.Namespace) -> int:
    """`ecg read`: the answers to a file, or to every ECG in a folder; one that fails does not stop the others."""
    parts = _parts(asked)
    with closing(_source(asked)) as source:
        if asked.path.is_dir():
            return _read_folder(source, parts, asked)
        _say(source.answer(asked.path, parts), asked.path.name, as_json=asked.json)
    return WELL


def waves(asked: argparse.Namespace) -> int:
    """`ecg waves`: P, QRS and T of a WFDB record of any leads and any length."""
    from model.files import read_record
    from service.sources import waves_of

    by_lead = waves_of(read_record(asked.path, uncalibrated=True), asked.bundle)
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

    secret, line = new_key(asked.name, frozenset(asked.scopes))
    _print(f"Give this to {asked.name}, once; it is stored nowhere:\n  {secret}")
    _print(f"Add this line to the file that ECG_API_KEYS names:\n  {line}")
    return WELL


def audit(asked: argparse.Namespace) -> int:
    """`ecg audit`: whether every line of an audit log follows from the one before."""
    from service.audit import FIRST, verify

    _print(f"{verify(*asked.paths, after=asked.after or FIRST)} lines, each following from the one before")
    return WELL


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ecg", description="Reads 12-lead ECGs; decision support for clinicians.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    reading = commands.add_parser("read", help="answer a file, or every ECG in a folder")
    reading.add_argument("path", type=Path, help="a WFDB header, .json or .zip, or a folder of them")
    reading.add_argument("--json", action="store_true", help="the service's answer as JSON, one ECG a line")
    reading.add_argument("--include", help="comma list of findings, measurements, waves, embedding, plot")
    second = "warn where a classical method measures QRS or QT otherwise"
    reading.add_argument("--second-opinion", action="store_true", help=second)
    where = reading.add_mutually_exclusive_group()
    where.add_argument("--bundle", type=Path, help="folder of the bundle; without it the one that ships")
    where.add_argument("--url", default=os.environ.get("ECG_URL"), help="ask a server; ECG_API_KEY holds its key")
    reading.set_defaults(run=read)

    delineating = commands.add_parser("waves", help="delineate a WFDB record: any leads, any length")
    delineating.add_argument("path", type=Path, help="the WFDB header")
    delineating.add_argument("--json", action="store_true", help='{"waves": {lead: [...]}}')
    delineating.add_argument("--bundle", type=Path, help="folder of the bundle; without it the one that ships")
    delineating.set_defaults(run=waves)

    serving = commands.add_parser("serve", help="serve; settings come from ECG_* in the environment")
    serving.set_defaults(run=serve)

    making = commands.add_parser("key", help="make an API key")
    making.add_argument("name", help="of its owner, for the log")
    making.add_argument("--scopes", nargs="+", choices=("read", "metrics", "admin"), default=("read",))
    making.set_defaults(run=key)

    auditing = commands.add_parser("audit", help="verify the log that ECG_AUDIT names")
    auditing.add_argument("paths", type=Path, nargs="+", help="its files, oldest first where it was rotated")
    auditing.add_argument("--after", metavar="HASH", help="of the line before, where older files are not at hand")
    auditing.set_defaults(run=audit)
    return parser


def _source(asked: argparse.Namespace) -> "Source":
    from service.settings import read_settings
    from service.sources import Here, Server

    if asked.url and not asked.bundle:
        return Server(asked.url, os.environ.get("ECG_API_KEY"))
    return Here(asked.bundle, read_settings())


def _parts(asked: argparse.Namespace) -> "frozenset[Part]":
    from service.parts import parse_parts

    second = ["true"] if asked.second_opinion else []
    return parse_parts([] if asked.include is None else [asked.include], second)


def _read_folder(source: "Source", parts: "frozenset[Part]", asked: argparse.Namespace) -> int:
    from service.sources import ecgs_in

    paths = list(ecgs_in(asked.path))
    if not paths:
        return _complain("there is no .hea, .json or .zip in this folder", FAILED)
    failed = sum(not _answered(source, path, parts, asked) for path in _progress(paths))
    return FAILED if failed else WELL


def _answered(source: "Source", path: Path, parts: "frozenset[Part]", asked: argparse.Namespace) -> bool:
    """Say the answer to one ECG of a folder, or why there is none."""
    name = str(path.relative_to(asked.path))
    try:
        answer = source.answer(path, parts)
    except EcgError as error:
        if asked.json:
            code = getattr(error, "reason", error.code)
            _print(json.dumps({"path": name, "code": code, "detail": error.detail}))
        else:
            _complain(f"{name}: {error.detail}", FAILED)
        return False
    _say(answer, name, as_json=asked.json, in_folder=True)
    return True


def _say(answer: bytes, name: str, *, as_json: bool, in_folder: bool = False) -> None:
    from service.schemas import AnswerBody
    from service.tables import answer_table

    if not as_json:
        _print(answer_table(AnswerBody.model_validate_json(answer), name))
    elif in_folder:
        _print(json.dumps({"path": name} | json.loads(answer)))
    else:
        _print(answer.decode())


def _progress(paths: list[Path]) -> Sequence[Path]:
    """The paths, behind a bar where a person watches."""
    from tqdm import tqdm

    bar: Sequence[Path] = tqdm(paths, unit="ECG", disable=not sys.stderr.isatty())
    return bar


def _print(text: str) -> None:
    print(text)  # noqa: T201 - a command says its answer on stdout


def _complain(detail: str, status: int) -> int:
    print(f"ecg: {detail}", file=sys.stderr)  # noqa: T201 - one line on stderr
    return status
