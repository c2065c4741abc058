"""Restarts under load: whoever was taken is answered.

`python -m tests.stress.restarts` stops the bundled model by SIGTERM and starts it anew, twenty times, behind callers
who watch readiness as a balancer does, and ends with 1 where a request was taken and not answered.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.stress.traffic import Traffic

RESTARTS = 20
CALLERS = 4
WATCHED_S = 0.1
"""How often the balancer asks."""


@dataclass
class Report:
    """What became of requests and processes."""

    statuses: list[int] = field(default_factory=list)
    stop_s: list[float] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)


class Instance:
    """One service after another at one address."""

    def __init__(self, **environment: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ECG_")}
        self._environment = kept | {"ECG_PORT": "0", "ECG_LOG_LEVEL": "error", **environment}
        self.url = ""
        self.start()

    def start(self) -> None:
        """A new process, once it listens; after the first, at the same port."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "service"],
            env=self._environment,
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        said = self._process.stdout.readline() if self._process.stdout else ""
        found = re.search(r"http://\S+:(\d+)", said)
        if not found:
            raise RuntimeError("the service did not start")
        self.url = found.group()
        self._environment["ECG_PORT"] = found.group(1)

    def stop(self) -> int:
        """SIGTERM, and the status with which the process ends."""
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(120)
        if self._process.stdout:
            self._process.stdout.close()
        return status


class Balancer:
    """Lets callers through while the service says that it is ready."""

    def __init__(self) -> None:
        self.ready = False
        self._stop = threading.Event()

    def watch(self, instance: Instance) -> threading.Thread:
        """Begin to ask."""
        thread = threading.Thread(target=self._watch, args=(instance,), daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def _watch(self, instance: Instance) -> None:
        while not self._stop.wait(WATCHED_S):
            try:
                self.ready = httpx.get(f"{instance.url}/health/ready", timeout=5).status_code == 200
            except httpx.HTTPError:
                self.ready = False


def restart(restarts: int = RESTARTS, serve_s: float = 1.0, **environment: str) -> Report:
    """Stop and start a service again and again while callers ask.

    Args:
        restarts: how often.
        serve_s: how long each process serves before it is stopped.
        environment: of the service.
    """
    report, balancer = Report(), Balancer()
    instance = Instance(**environment)
    traffic = Traffic(lambda: balancer.ready)
    watching = balancer.watch(instance)
    with traffic.flowing(lambda: instance.url, CALLERS):
        for _ in range(restarts):
            time.sleep(serve_s)
            began_s = time.monotonic()
            report.statuses.append(instance.stop())
            report.stop_s.append(time.monotonic() - began_s)
            instance.start()
        time.sleep(serve_s)
    balancer.stop()
    watching.join()
    report.statuses.append(instance.stop())
    report.outcomes = dict(traffic.outcomes)
    return report


def failures(report: Report) -> list[str]:
    """What a run must not have."""
    found = [f"a process ended with {status}" for status in report.statuses if status != 0]
    unanswered = {name: count for name, count in report.outcomes.items() if name != "answered"}
    return found + [f"{count} requests {name}" for name, count in unanswered.items()]


def main() -> int:
    """Restart, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=RESTARTS)
    parser.add_argument("--readers", default="", help="processes that read; as many as the service takes without it")
    options = parser.parse_args()
    report = restart(options.restarts, ECG_READERS=options.readers)
    failed = failures(report)
    figures = {"restarts": len(report.stop_s), "slowest_stop_s": max(report.stop_s), **report.outcomes}
    sys.stdout.write(json.dumps({**figures, "failed": failed}) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
