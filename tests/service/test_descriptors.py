"""More connections than there are file descriptors, on a process of its own: nothing that was taken is lost."""

import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from service.settings import Settings
from tests.service import bodies
from tests.service.stubs import get, post, until
from tests.stress.traffic import Traffic

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux changes the limits of another process"),
]

CONNECTIONS = 40


@dataclass(frozen=True)
class Service:
    """A process that serves."""

    url: str
    pid: int
    folder: Path

    @property
    def audit(self) -> Path:
        return self.folder / "audit.log"

    @property
    def log_lines(self) -> list[str]:
        return (self.folder / "stderr").read_text().splitlines()

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def allow(self, descriptors: int) -> None:
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (descriptors, hard))

    def read(self) -> httpx.Response:
        return post(f"{self.url}/v1/ecgs", **bodies.raw())

    def require_idle(self) -> None:
        """Who waits for descriptors in a circle takes a whole core."""
        before_s, began_s = self.cpu_s, time.monotonic()
        time.sleep(1.0)
        assert self.cpu_s - before_s < 0.5 * (time.monotonic() - began_s)


@pytest.fixture
def readers() -> int:
    return 0


@pytest.fixture
def service(tmp_path: Path, readers: int) -> Iterator[Service]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ECG_")}
    given = {"ECG_PORT": "0", "ECG_WORKERS": "1", "ECG_CONNECTIONS": str(CONNECTIONS)}
    given |= {"ECG_READERS": str(readers), "ECG_AUDIT": str(tmp_path / "audit.log")}
    command = [sys.executable, "-m", "service"]
    with (
        (tmp_path / "stderr").open("wb") as log,
        subprocess.Popen(command, env=kept | given, stdout=subprocess.PIPE, stderr=log, text=True) as running,
    ):
        try:
            said = running.stdout.readline() if running.stdout else ""
            found = re.search(r"http://\S+:\d+", said)
            assert found
            yield Service(found.group(), running.pid, tmp_path)
        finally:
            running.terminate()
            with suppress(subprocess.TimeoutExpired):
                running.wait(60)
            running.kill()


@contextmanager
def crowd(url: str, count: int) -> Iterator[None]:
    """So many connections that say nothing, opened at once."""
    address = urlsplit(url).hostname, urlsplit(url).port
    with ExitStack() as held:
        for _ in range(count):
            one = held.enter_context(closing(socket.socket()))
            one.setblocking(False)
            one.connect_ex(address)
        yield


def room(readers: int) -> int:
    return CONNECTIONS + Settings(readers=readers).own_descriptors


def test_a_crowd_is_held_within_the_descriptors_and_every_ecg_that_was_taken_is_answered(
    service: Service, readers: int
) -> None:
    service.allow(room(readers))
    traffic = Traffic()
    crowds = 3
    with traffic.flowing(lambda: service.url, 3):
        for _ in range(crowds):
            with crowd(service.url, 500):
                assert service.read().status_code == 200
                service.audit.rename(service.folder / f"moved-{time.monotonic_ns()}")
                assert service.read().status_code == 200
                assert service.descriptors < room(readers)
    assert traffic.outcomes["answered"] > 3
    # A caller may send on an idle connection at the moment at which it is closed, and sends again (RFC 9112, 9.3.1):
    # what the service took is in its log, and all of it was answered.
    assert traffic.outcomes.keys() <= {"answered", "lost"}
    assert traffic.outcomes["lost"] <= crowds
    assert all('"status":200' in line for line in service.log_lines if '"request"' in line)
    with crowd(service.url, 500):
        until(lambda: service.descriptors >= CONNECTIONS)
        service.require_idle()
    until(lambda: service.descriptors < CONNECTIONS)
    assert service.read().status_code == 200
    assert len(service.log_lines) < traffic.outcomes.total() + 50
    assert sum('"request"' in line and '"status":200' in line for line in service.log_lines) == (
        traffic.outcomes["answered"] + 7
    )


@pytest.mark.parametrize("readers", [3])
def test_there_is_room_in_a_crowd_for_processes_that_a_reload_brings(service: Service, readers: int) -> None:
    service.allow(room(readers))
    with crowd(service.url, 500):
        until(lambda: service.descriptors >= CONNECTIONS)
        assert post(f"{service.url}/v1/admin/reload").status_code == 200
        assert service.descriptors < room(readers)
        assert service.read().status_code == 200


def test_where_there_are_none_left_who_is_connected_is_answered_and_all_is_well_again_afterwards(
    service: Service,
) -> None:
    assert service.read().status_code == 200
    with httpx.Client(timeout=60, limits=httpx.Limits(keepalive_expiry=600)) as known:
        assert known.post(f"{service.url}/v1/ecgs", **bodies.raw()).status_code == 200
        service.allow(service.descriptors + 4)
        with crowd(service.url, 100):
            assert [known.post(f"{service.url}/v1/ecgs", **bodies.raw()).status_code for _ in range(5)] == [200] * 5
            for _ in range(20):
                with suppress(httpx.TransportError):  # whoever is not taken is told so, and not left waiting
                    httpx.get(f"{service.url}/health/ready", timeout=10)
            service.audit.rename(service.folder / "moved")
            service.require_idle()
            answer = known.post(f"{service.url}/v1/ecgs", **bodies.raw())
            assert answer.status_code == 200 or answer.json()["code"] == "audit_unavailable"
    service.allow(1024)
    until(lambda: get(f"{service.url}/health/ready").status_code == 200)
    assert service.read().status_code == 200
    assert service.audit.exists()
    assert len(service.log_lines) < 60
