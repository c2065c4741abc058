"""The house stands: import rules, caps and types each catch a planted fault, and a service starts without torch."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import onnx
import onnx.parser
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("model", "training", "service")
BIN = Path(sys.executable).parent
MOST_LINES = 400


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """One of the environment's own commands, with what it said."""
    return subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)


# Each import rule, the file that a fault is planted in, and the fault.
PLANTED_IMPORTS = {
    "The model uses neither training nor service": ("model/signal/spec.py", "import training"),
    "Service and training never meet": ("training/data/dataset.py", "import service.errors"),
    "Inside model, imports point down": ("model/signal/leads.py", "import model.bundle"),
    "Inside service, imports point down": ("service/errors.py", "import service.app"),
    "Inside training, imports point down": ("training/errors.py", "import training.data.dataset"),
    "The service serves without torch": ("service/schemas.py", "import model.nn.encoder"),
    "torch lives in model.nn and training": ("model/reading/waves.py", "import torch"),
    "What training needs lives in training": ("model/bundle.py", "import onnx"),
    "What serving needs lives in service": ("training/data/dataset.py", "import fastapi"),
    "onnxruntime lives in model.engine and training.bundling.precision": ("service/batching.py", "import onnxruntime"),
    "wfdb lives in training.sources": ("model/files/wfdb_files.py", "import wfdb"),
    "neurokit2 lives in model.reading.second_opinion": ("model/reading/measurements.py", "import neurokit2"),
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What lint-imports says of a copy of the house with every fault in it."""
    copy = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__", "bundles"))
    for file, line in PLANTED_IMPORTS.values():
        with (copy / file).open("a") as source:
            source.write(f"\n{line}\n")
    said = run(BIN / "lint-imports", "--no-cache", cwd=copy)
    assert said.returncode == 1, said.stdout + said.stderr
    return re.sub(r"\s+", " ", said.stdout)


def test_each_import_rule_has_a_planted_fault() -> None:
    rules = [contract["name"] for contract in PROJECT["tool"]["importlinter"]["contracts"]]
    assert rules == list(PLANTED_IMPORTS)


@pytest.mark.parametrize("rule", PLANTED_IMPORTS)
def test_import_rules_catch_a_planted_fault(planted: str, rule: str) -> None:
    file, line = PLANTED_IMPORTS[rule]
    module = file.removesuffix(".py").replace("/", ".")
    imported = line.removeprefix("import ")
    assert f"{rule} BROKEN" in planted
    assert re.search(rf"{re.escape(module)} -> {re.escape(imported)} \(l\.\d+\)", planted)


# Each cap of the style, and the least that breaks it.
PLANTED_FAULTS = {
    "C901": "def f(x: int) -> int:\n"
    + "".join(f"    if x == {n}:\n        x += 1\n" for n in range(8))
    + "    return x\n",
    "PLR0912": "def f(x: int) -> int:\n"
    + "".join(f"    if x == {n}:\n        x += 1\n" for n in range(9))
    + "    return x\n",
    "PLR0913": "def f(a: int, b: int, *, c: int, d: int, e: int, g: int, h: int) -> int:\n    return a\n",
    "PLR0915": "def f(x: int) -> int:\n" + "    x += 1\n" * 40 + "    return x\n",
    "PLR0917": "def f(a: int, b: int, c: int, d: int, e: int) -> int:\n    return a\n",
    "D100": "X = 1\n",
    "D103": "def f() -> None:\n    pass\n",
    "N802": "def readRecord() -> None:\n    pass\n",
    "T201": "print(1)\n",
    "ERA001": "# x = 1\n",
    "S301": "import pickle\n\nX = pickle.loads(b'')\n",
    "S101": "assert 1\n",
    "BLE001": "try:\n    X = 1\nexcept Exception:\n    X = 2\n",
    "E501": "X = " + "1" * 121 + "\n",
}


@pytest.fixture(scope="module")
def lint(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Codes that ruff gives each planted file."""
    folder = tmp_path_factory.mktemp("lint")
    for code, source in PLANTED_FAULTS.items():
        (folder / f"fault_{code.lower()}.py").write_text(source)
    command: list[str | Path] = [
        BIN / "ruff",
        "check",
        "--no-cache",
        "--output-format",
        "json",
        "--config",
        ROOT / "pyproject.toml",
        ".",
    ]
    found: list[dict[str, Any]] = json.loads(run(*command, cwd=folder).stdout)
    return {
        code: {one["code"] for one in found if Path(one["filename"]).stem == f"fault_{code.lower()}"}
        for code in PLANTED_FAULTS
    }


@pytest.mark.parametrize("code", PLANTED_FAULTS)
def test_caps_catch_a_planted_fault(lint: dict[str, set[str]], code: str) -> None:
    assert code in lint[code]


def test_types_are_strict(tmp_path: Path) -> None:
    (tmp_path / "fault.py").write_text("def f(x):\n    return x\n\n\ndef g() -> int:\n    return 'one'\n")
    said = run(BIN / "mypy", "--config-file", ROOT / "pyproject.toml", "fault.py", cwd=tmp_path).stdout
    assert "[no-untyped-def]" in said
    assert "[return-value]" in said


def test_a_warning_fails_a_test(tmp_path: Path) -> None:
    (tmp_path / "test_fault.py").write_text("import warnings\n\n\ndef test_fault():\n    warnings.warn('planted')\n")
    said = run(
        BIN / "pytest", "-p", "no:asyncio", "-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, tmp_path, cwd=tmp_path
    )
    assert said.returncode == 1
    assert "UserWarning: planted" in said.stdout


def test_a_service_is_imported_without_training_or_plotting() -> None:
    heavy = ("torch", "sklearn", "matplotlib", "neurokit2", "onnx", "h5py")
    question = f"import sys, service.app; print([name for name in {heavy!r} if name in sys.modules])"
    said = run(sys.executable, "-c", question, cwd=ROOT)
    assert said.stdout.strip() == "[]", said.stderr


def test_onnxruntime_is_kept_from_reporting_home(tmp_path: Path) -> None:
    graph = '<ir_version: 9, opset_import: ["": 18]> copy (float[1] x) => (float[1] y) { y = Identity(x) }'
    onnx.save(onnx.parser.parse_model(graph), tmp_path / "copy.onnx")
    session = (
        "import model.engine, onnxruntime as ort; ort.InferenceSession('copy.onnx', providers=['CPUExecutionProvider'])"
    )
    home = {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    said = subprocess.run(
        [sys.executable, "-c", session], env=home, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["copy.onnx"], "it leaves an identifier when it reports"


def test_the_base_dependencies_are_pinned_and_hold_no_torch() -> None:
    base = PROJECT["project"]["dependencies"]
    every = base + [name for extra in PROJECT["project"]["optional-dependencies"].values() for name in extra]
    assert [name for name in every if not re.match(r"[\w.-]+(\[[\w,]+\])?==[\w.]+(;|$)", name)] == []
    assert not any(name.startswith(("torch", "scikit-learn")) for name in base)
    assert "torch==2.13.0" in PROJECT["project"]["optional-dependencies"]["train"]


SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
NOT_IMPORTED = {"pandas", "wfdb"}
"""Base dependencies that are there for others: neurokit2, and the scripts of those who send WFDB records."""


def imported(path: Path) -> set[str]:
    """The packages that a file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [one.name for node in nodes if isinstance(node, ast.Import) for one in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def test_every_base_dependency_is_imported_by_what_serves() -> None:
    serving = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in {"model", "service"}]
    of_module = packages_distributions()
    used = {
        dist.lower().replace("_", "-")
        for path in serving
        for name in imported(path)
        for dist in of_module.get(name, [])
    }
    base = {re.split(r"[\[=]", name)[0] for name in PROJECT["project"]["dependencies"] if "sys_platform" not in name}
    assert base - used == NOT_IMPORTED


@pytest.mark.parametrize(
    ("system", "machine", "wanted"),
    [
        ("linux", "x86_64", "onnxruntime-gpu"),
        ("linux", "aarch64", "onnxruntime"),
        ("darwin", "arm64", "onnxruntime"),
    ],
)
def test_every_machine_gets_one_onnxruntime(system: str, machine: str, wanted: str) -> None:
    asked = [Requirement(line) for line in PROJECT["project"]["dependencies"] if line.startswith("onnxruntime")]
    there = {"sys_platform": system, "platform_machine": machine}
    assert [one.name for one in asked if one.marker is None or one.marker.evaluate(there)] == [wanted]


def test_no_requirement_is_for_a_system_that_lacks_what_the_service_asks_of_it() -> None:
    lists = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    assert [line for one in lists for line in one if "win32" in line] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_say_what_they_know_and_stay_readable(path: Path) -> None:
    text = path.read_text()
    said = ast.get_docstring(ast.parse(text))
    assert said, "a file opens with one sentence on what it knows"
    assert text.startswith('"""'), "and it is the first line"
    assert len(text.splitlines()) <= MOST_LINES
    assert path.stem not in {"utils", "util", "helpers", "common", "manager", "misc"}
