"""Where `ecg read` gets its answers: from a bundle on this machine, or from a server."""

from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Protocol
from uuid import uuid4

import httpx
from pydantic import ValidationError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_before_delay,
    wait_random,
    wait_random_exponential,
)

from model.bundle import read_bundle
from model.engine import LeadEngine
from model.errors import EcgError, MalformedRecordError, UnknownFormatError
from model.files import read_path
from model.files.wfdb_files import HEADER_SUFFIX, SIGNAL_SUFFIXES, is_signal_file
from model.files.wfdb_header import MAX_HEADER_BYTES, parse_header
from model.lead_reader import LeadReader
from model.reader import Part, Reader, delineate_by_network
from model.reading.second_opinion import delineate, delineate_classically
from model.reading.waves import Waves, recorded_waves
from model.signal.recording import Recording
from service.loading import build_engine
from service.schemas import ProblemBody, answer_json, model_wire
from service.settings import Settings, default_bundle, usable_cores

SUFFIXES = (HEADER_SUFFIX, ".json", ".zip")
MEDIA_TYPES = {".json": "application/json", ".zip": "application/zip"}
SERVER_TIMEOUT_S = 120.0
BUSY = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.BAD_GATEWAY, httpx.codes.GATEWAY_TIMEOUT)
BUSY_IF_SAID = (httpx.codes.SERVICE_UNAVAILABLE,)
"""A 503 that does not say when to come again, such as of a broken bundle, will not be another one later."""

MOST_WAIT_S = 10.0
"""Between two tries, where the server does not say how long."""


class RefusedError(EcgError):
    """A server refused the ECG, or there is none.

    Args:
        detail: why.
        reason: the server's own code for it.
    """

    code: ClassVar[str] = "refused"

    def __init__(self, detail: str, reason: str = "no_server") -> None:
        super().__init__(detail)
        self.reason = reason


class BusyError(RefusedError):
    """A server that may take the ECG later.

    Args:
        detail: why it does not now.
        reason: the server's own code for it.
        retry_after_s: when it asks to be asked again; None where it does not say.
    """

    def __init__(self, detail: str, reason: str = "no_server", retry_after_s: float | None = None) -> None:
        super().__init__(detail, reason)
        self.retry_after_s = retry_after_s


class Source(Protocol):
    """Gives answers as JSON, `service.schemas.AnswerBody`."""

    def answer(self, path: Path, parts: frozenset[Part]) -> bytes:
        """The answer to the ECG in a file; raises EcgError."""

    def close(self) -> None:
        """Let go of what is held."""


class Here:
    """Answers without a server.

    Args:
        bundle: folder; None takes the one of the settings, or the one that ships.
        settings: say which device and variant.

    Raises:
        BundleError, EngineError, SettingsError: there is none that runs.
    """

    def __init__(self, bundle: Path | None, settings: Settings) -> None:
        read = read_bundle(bundle or settings.bundle or default_bundle())
        engine = build_engine(settings, read)
        by_network = bool(read.manifest.wave_leads)
        self._reader = Reader(read, engine, delineate_by_network if by_network else delineate_classically)
        self._model = model_wire(read, engine)

    def answer(self, path: Path, parts: frozenset[Part]) -> bytes:
        """The answer to the ECG in a file of any length; raises EcgError."""
        answer = self._reader.read(read_path(path), parts)
        digest = sha256(b"".join(one.read_bytes() for one in files_of(path)))
        return answer_json(answer, parts, request_id=str(uuid4()), body_sha256=digest.hexdigest(), model=self._model)

    def close(self) -> None:
        """Nothing is held."""


class Server:
    """Answers from a server; one that is busy is asked again when it says so, and an ECG is never counted twice.

    Args:
        url: of the server, such as http://127.0.0.1:8000.
        key: API key, where the server wants one.
        patience_s: how long an ECG is offered anew.
    """

    def __init__(self, url: str, key: str | None, patience_s: float = 60.0) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=SERVER_TIMEOUT_S)
        self._patience_s = patience_s

    def answer(self, path: Path, parts: frozenset[Part]) -> bytes:
        """The server's answer to the ECG in a file; raises EcgError; may be called from several threads."""
        query = {"include": ",".join(sorted(parts - {"second_opinion"}))}
        if "second_opinion" in parts:
            query["second_opinion"] = "true"
        request = self._client.build_request("POST", "/v1/ecgs", params=query, **_body(path))
        request.headers["idempotency-key"] = str(uuid4())
        request.read()
        again = Retrying(
            retry=retry_if_exception_type(BusyError),
            wait=_wait_s,
            stop=stop_before_delay(self._patience_s),
            reraise=True,
        )
        return again(self._ask, request)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, request: httpx.Request) -> bytes:
        try:
            reply = self._client.send(request)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
            raise BusyError(f"the server broke off: {type(error).__name__}") from None
        except httpx.HTTPError as error:
            raise RefusedError(f"the server did not answer: {type(error).__name__}") from None
        if reply.status_code != httpx.codes.OK:
            raise _refusal(reply)
        return reply.content


def _wait_s(state: RetryCallState) -> float:
    """What the server asks for, or longer each time; a little at random, so that callers do not come all at once."""
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.retry_after_s if isinstance(error, BusyError) else None
    return wait_random_exponential(max=MOST_WAIT_S)(state) if asked_s is None else asked_s + wait_random(0, 0.5)(state)


def _body(path: Path) -> dict[str, Any]:
    """The request that carries a file: multipart for a WFDB record, the file itself otherwise."""
    files = files_of(path)
    if media_type := MEDIA_TYPES.get(files[0].suffix.lower()):
        return {"content": files[0].read_bytes(), "headers": {"content-type": media_type}}
    return {"files": [("files", (one.name, one.read_bytes())) for one in files]}


def _refusal(reply: httpx.Response) -> RefusedError:
    """What a refusal says, where it comes from a service of this kind, and whether to come again."""
    try:
        problem = ProblemBody.model_validate_json(reply.content)
        said = (problem.detail, problem.code)
    except ValidationError:
        said = (f"the server answered {reply.status_code}", "no_server")
    after = reply.headers.get("retry-after", "")
    after_s = float(after) if after.isascii() and after.isdigit() else None
    if reply.status_code in BUSY or (reply.status_code in BUSY_IF_SAID and after):
        return BusyError(*said, after_s)
    return RefusedError(*said)


def waves_of(recording: Recording, folder: Path | None) -> Waves:
    """Waves of any leads, by the graph for any leads; where the bundle has none, classically, each lead on its own.

    Args:
        recording: any leads, any length.
        folder: of the bundle; None takes the one that ships.

    Raises:
        BundleError, EngineError: there is no bundle that runs.
    """
    bundle = read_bundle(folder or default_bundle())
    if bundle.manifest.wave_graph:
        return LeadReader(LeadEngine(bundle, threads=usable_cores()), bundle.manifest.spec).waves(recording)
    # Under a standard name every lead counts, whatever it is called.
    alone = [Recording(row[None], recording.sampling_hz, ("II",)) for row in recording.signal_mv]
    found = {name: delineate(lead)["II"] for name, lead in zip(recording.leads, alone, strict=True)}
    return recorded_waves(found, recording)


def files_of(path: Path) -> tuple[Path, ...]:
    """The file, and for a WFDB header the signal files that it names.

    Raises:
        FileNotFoundError: one is not there.
        UnknownFormatError: another kind of file.
    """
    if path.suffix.lower() not in SUFFIXES:
        header = path.with_name(path.name + HEADER_SUFFIX)
        if path.is_file() and not header.is_file():
            raise UnknownFormatError(f"got another kind of file, wanted {', '.join(SUFFIXES)}")
        path = header
    if path.suffix.lower() != HEADER_SUFFIX:
        return (path,)
    named = _named_by(path)
    if not all(one.is_file() for one in named):
        raise MalformedRecordError("a signal file that the header names is not there")
    return (path, *named)


def _named_by(header: Path) -> tuple[Path, ...]:
    """The signal files that a header names; raises EcgError."""
    with header.open("rb") as stream:
        return tuple(header.with_name(name) for name in parse_header(stream.read(MAX_HEADER_BYTES + 1)).files)


def ecgs_in(path: Path) -> Iterator[Path]:
    """The file itself, or every ECG in a folder and below, in order of name, and signal files that have no header."""
    if not path.is_dir():
        yield path
        return
    files = sorted(one for one in path.rglob("*") if one.is_file() and not one.name.startswith("._"))
    heads = [one for one in files if one.suffix.lower() == HEADER_SUFFIX]
    beside = {head.with_suffix(suffix) for head in heads for suffix in SIGNAL_SUFFIXES}
    alone = {one for one in files if is_signal_file(one.name)} - beside
    for head in heads if alone else ():
        with suppress(EcgError, OSError):  # why it cannot be read is said when its turn comes
            alone -= set(_named_by(head))
    yield from (one for one in files if one.suffix.lower() in SUFFIXES or one in alone)
