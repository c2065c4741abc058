"""The README is true: its tables are the code's, its commands exist, its links lead somewhere."""

import importlib
import json
import re
import shlex
from http import HTTPStatus
from pathlib import Path

import pytest

import service.cli
import service.errors
import training.cli
from model.errors import EcgError
from service.app import create_app
from service.errors import STATUS
from service.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
NOT_ON_THE_WIRE = {"error", "bad_setting"}


def table(title: str) -> list[list[str]]:
    """Cells of the table under a heading, without its head."""
    section = re.split(r"^#+ ", README.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [re.split(r"\s*\|\s*", line)[1:-1] for line in lines[2:]]


def default_of(name: str) -> str:
    default = Settings.model_fields[name].default
    return (
        "" if default is None or default == "" else f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
    )


def test_the_settings_table_is_the_settings() -> None:
    wanted = [
        [f"`{PREFIX}{name.upper()}`", default_of(name), " ".join((field.description or "").split())]
        for name, field in Settings.model_fields.items()
    ]
    assert table("Settings") == wanted


def kinds(root: type[EcgError]) -> list[type[EcgError]]:
    """The error and everything below it, in the order of definition."""
    return [root, *(kind for child in root.__subclasses__() for kind in kinds(child))]


def status_of(kind: type[EcgError]) -> HTTPStatus:
    return next((status for listed, status in STATUS if issubclass(kind, listed)), HTTPStatus.INTERNAL_SERVER_ERROR)


def test_the_error_table_is_the_errors() -> None:
    importlib.import_module("service.app")
    homes = ("model.", service.errors.__name__)
    on_wire = [
        kind for kind in kinds(EcgError) if kind.__module__.startswith(homes) and kind.code not in NOT_ON_THE_WIRE
    ]
    wanted = {(str(int(status_of(kind))), f"`{kind.code}`") for kind in on_wire}
    assert {(status, code) for status, code, _ in table("Errors")} == wanted
    assert sorted(table("Errors"), key=lambda row: row[0]) == table("Errors")


def shell_lines() -> list[str]:
    """Commands of the README, continuation lines joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def test_make_is_asked_only_for_what_it_makes() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = {word for line in shell_lines() for word in re.findall(r"\bmake (\w+)", line)}
    assert {"serve", "test"} <= asked <= targets


def test_stages_that_are_shown_take_what_they_are_given() -> None:
    shown = [shlex.split(line.split("-m training ")[1]) for line in shell_lines() if "-m training " in line]
    assert {"prepare", "pretrain", "finetune", "calibrate", "export", "evaluate"} <= {words[0] for words in shown}
    for words in shown:
        assert training.cli._parsed(words).stage in {words[0], "-".join(words[:2])}


def test_the_command_ecg_takes_what_it_is_given() -> None:
    shown = [shlex.split(line.split("bin/ecg ")[1].split(" > ")[0]) for line in shell_lines() if "bin/ecg " in line]
    assert shown
    for words in shown:
        assert callable(service.cli._parser().parse_args(words).run)


def test_files_that_are_sent_exist() -> None:
    words = [word for line in shell_lines() for word in shlex.split(line, comments=True)]
    sent = [match for word in words for match in re.findall(r"@(tests/[\w./-]+)", word)]
    assert sent
    assert [path for path in sent if not (ROOT / path).exists()] == []


def test_the_endpoint_table_is_the_routes() -> None:
    described = create_app(Settings()).openapi()["paths"]
    routes = {f"`{method.upper()} {path}`" for path, methods in described.items() for method in methods}
    assert {row[0] for row in table("Where to look")} == routes


def test_links_within_the_page_lead_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= anchors


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("block", re.findall(r"^```json\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
def test_json_that_is_shown_parses(block: str) -> None:
    json.loads(re.sub(r",?\s*…", "", block))
