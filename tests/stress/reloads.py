"""Bundles changed under load, some of them spoilt: every request is answered, and none by a spoilt bundle.

`python -m tests.stress.reloads` serves a copy of the bundled model, reloads it twenty times, five of them spoilt in a
way of their own, and ends with 1 where a request went unanswered or an answer is of none of the sound bundles.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from model.bundle import MANIFEST, file_sha256
from service.settings import default_bundle
from tests.stress.restarts import Instance
from tests.stress.traffic import Traffic

RELOADS = 20
CALLERS = 4
CLOSE = 1e-4


def spoil_weights(folder: Path) -> None:
    """Half of the largest file written over where it lies, as a copy that was interrupted leaves it."""
    largest = max((path for path in folder.iterdir()), key=lambda path: path.stat().st_size)
    with largest.open("r+b") as file:
        file.seek(largest.stat().st_size // 2)
        file.write(bytes(largest.stat().st_size // 4))
        file.truncate()


def cut_manifest(folder: Path) -> None:
    """A manifest without its end."""
    path = folder / MANIFEST
    path.write_text(path.read_text()[:-20])


def lose_manifest(folder: Path) -> None:
    """No manifest."""
    (folder / MANIFEST).unlink()


def change_schema(folder: Path) -> None:
    """A manifest of a later kind."""
    _rewrite(folder, lambda manifest: manifest | {"schema": 99})


def change_answers(folder: Path) -> None:
    """Every hash right, and a network that does not compute what it computed where it was made."""
    path = folder / "self_test.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **(arrays | {"logits": arrays["logits"] + np.float32(0.5)}))
    _rewrite(folder, lambda manifest: manifest | {"self_test": {"file": path.name, "sha256": file_sha256(path)}})


def _rewrite(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


SPOILT = (spoil_weights, cut_manifest, lose_manifest, change_schema, change_answers)


@dataclass
class Report:
    """What became of reloads and requests."""

    reloaded: int = 0
    kept: int = 0
    wrong: list[str] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)


def put(sound: Path, folder: Path, version: str) -> None:
    """A sound bundle in the place of what lies there, each file whole at once, the manifest last."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        fresh = Path(beside) / "bundle"
        shutil.copytree(sound, fresh)
        _rewrite(fresh, lambda manifest: manifest | {"version": version})
        for path in sorted(fresh.iterdir(), key=lambda one: one.name == MANIFEST):
            path.replace(folder / path.name)


def swap(url: str, sound: Path, folder: Path, reloads: int = RELOADS) -> Report:
    """Reload a served folder again and again, every fourth time spoilt, while callers ask.

    Args:
        url: of a service on `folder`.
        sound: a bundle that is never touched.
        folder: the one that is served.
        reloads: how many, at least four for each way to spoil.
    """
    report = Report()
    traffic = Traffic()
    sha256s = {httpx.get(f"{url}/v1/model").json()["sha256"]}
    with traffic.flowing(lambda: url, CALLERS):
        for number in range(reloads):
            put(sound, folder, f"0.0.{number}")
            spoilt = number % 4 == 3
            if spoilt:
                SPOILT[number // 4 % len(SPOILT)](folder)
            reply = httpx.post(f"{url}/v1/admin/reload", timeout=120)
            if spoilt and reply.status_code == 503:
                report.kept += 1
            elif not spoilt and reply.status_code == 200:
                report.reloaded += 1
                sha256s.add(reply.json()["sha256"])
            else:
                report.wrong.append(f"reload {number} was answered {reply.status_code}")
    report.outcomes = dict(traffic.outcomes)
    report.wrong += _strangers(traffic.answers, sha256s)
    return report


def _strangers(answers: list[dict[str, Any]], sha256s: set[str]) -> list[str]:
    """What is wrong with answers: of no sound bundle, or with other numbers than the first."""
    wanted = np.array([one["probability"] for one in answers[0]["findings"]])
    wrong = []
    for answer in answers:
        got = np.array([one["probability"] for one in answer["findings"]])
        if answer["model"]["sha256"] not in sha256s:
            wrong.append("an answer is of no sound bundle")
        if got.shape != wanted.shape or np.abs(got - wanted).max() > CLOSE:
            wrong.append("an answer has other numbers")
    return wrong


def failures(report: Report, reloads: int = RELOADS) -> list[str]:
    """What a run must not have."""
    found = list(report.wrong)
    if report.reloaded + report.kept != reloads:
        found.append(f"{report.reloaded} reloads and {report.kept} refusals, wanted {reloads} together")
    unanswered = {name: count for name, count in report.outcomes.items() if name != "answered"}
    return found + [f"{count} requests {name}" for name, count in unanswered.items()]


def main() -> int:
    """Reload, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=default_bundle(), help="a sound bundle with a self-test")
    parser.add_argument("--reloads", type=int, default=RELOADS)
    parser.add_argument("--readers", default="", help="processes that read; as many as the service takes without it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as beside:
        folder = Path(beside) / "bundle"
        shutil.copytree(options.bundle, folder)
        instance = Instance(ECG_BUNDLE=str(folder), ECG_READERS=options.readers)
        try:
            report = swap(instance.url, options.bundle, folder, options.reloads)
        finally:
            instance.stop()
    failed = failures(report, options.reloads)
    figures = {"reloaded": report.reloaded, "kept": report.kept, **report.outcomes}
    sys.stdout.write(json.dumps({**figures, "failed": failed}) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
