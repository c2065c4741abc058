"""How each server is started, kept quiet while another is measured, weighed and ended."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import psutil

from tests.bench.bare import Cores, pin
from tests.bench.bodies import Body
from tests.bench.peers.work import BODY, BUNDLE, PORT, SERVED, VARIANT, WORKERS

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".venv-bench"
OURS = "ours"
PEERS = {"LitServe": "litserve", "MLServer": "mlserver", "BentoML": "bentoml"}
"""Name to environment and package."""

START_S = 120.0
END_S = 10.0
MEBIBYTE = 1024 * 1024
READY = {OURS: "/health/ready", "LitServe": "/health", "MLServer": SERVED, "BentoML": "/readyz"}


class ServerError(Exception):
    """A server did not start; says with which words."""


@dataclass(frozen=True)
class Plan:
    """What a server runs with.

    Attributes:
        name: `ours`, or one of `PEERS`.
        body: what a peer is to read; the service reads everything.
        bundle: folder.
        variant: of the bundle.
        cores: that it may use; one worker each.
        module: that serves, of ours.
        readers: processes that read, of ours; None leaves it to the service.
    """

    name: str
    body: Body
    bundle: Path
    variant: str
    cores: Cores
    module: str = "service"
    readers: int | None = None


class Server:
    """One running server, in a session of its own."""

    def __init__(self, plan: Plan, port: int, process: subprocess.Popen[bytes]) -> None:
        self.plan = plan
        self.url = f"http://127.0.0.1:{port}"
        self._process = process

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def memory_mib(self) -> float:
        """Memory of all its processes, what they share counted once."""
        total = 0
        with suppress(psutil.Error):  # of one that ends meanwhile
            own = psutil.Process(self._process.pid)
            for one in (own, *own.children(recursive=True)):
                with suppress(psutil.Error):
                    total += one.memory_full_info().pss
        return total / MEBIBYTE

    def rest(self) -> None:
        """Stand still while others are measured."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Go on."""
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """End every process of it."""
        self.wake()
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def python_of(name: str) -> Path:
    """The Python that a server runs on; a peer's is made by `make bench`."""
    return Path(sys.executable) if name == OURS else ENVIRONMENTS / PEERS[name] / "bin" / "python"


def why_not(name: str) -> str | None:
    """Why a peer cannot run here, or None."""
    if name == OURS or (python_of(name).parent.parent / ".installed").exists():
        return None
    return "its packages did not install together on this Python"


@contextmanager
def running(plan: Plan, port: int) -> Iterator[Server]:
    """A server that is ready, until the block ends.

    Raises:
        ServerError: it did not become ready.
    """
    with TemporaryFile() as said:
        process = subprocess.Popen(
            _command(plan),
            cwd=ROOT,
            env={**os.environ, **_environment(plan, port)},
            stdout=said,
            stderr=said,
            start_new_session=True,
            preexec_fn=lambda: pin(plan.cores),  # noqa: PLW1509 - this process has one thread here
        )
        server = Server(plan, port, process)
        try:
            _wait(server, said)
            yield server
        finally:
            server.end()


def _command(plan: Plan) -> list[str]:
    python = str(python_of(plan.name))
    if plan.name == OURS:
        return [python, "-m", plan.module]
    module = f"tests.bench.peers.on_{PEERS[plan.name]}"
    if plan.name == "BentoML":
        return [python, "-m", "bentoml", "serve", f"{module}:Ecg", "--production", "--working-dir", str(ROOT)]
    return [python, "-m", module]


def _environment(plan: Plan, port: int) -> dict[str, str]:
    if plan.name == OURS:
        return {
            "ECG_BUNDLE": str(plan.bundle),
            "ECG_VARIANT": plan.variant,
            "ECG_DEVICE": "cpu",
            "ECG_PORT": str(port),
            "ECG_READERS": "" if plan.readers is None else str(plan.readers),
        }
    return {
        BUNDLE: str(plan.bundle),
        VARIANT: plan.variant,
        BODY: plan.body,
        PORT: str(port),
        WORKERS: str(len(plan.cores)),
        "BENTOML_HOST": "127.0.0.1",
        "BENTOML_PORT": str(port),
        "BENTOML_DO_NOT_TRACK": "true",
    }


def _wait(server: Server, said: IO[bytes]) -> None:
    deadline_s = time.monotonic() + START_S
    while not _ready(server.url + READY[server.plan.name]):
        if server.ended or time.monotonic() > deadline_s:
            said.seek(0)
            last = said.read().decode(errors="replace").strip().splitlines()[-1:]
            raise ServerError(f"{server.plan.name} did not start: {' '.join(last)}")
        time.sleep(0.2)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310 - our own address
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False
