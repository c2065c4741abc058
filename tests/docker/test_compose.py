"""Compose and the images: they parse, every image is pinned, and nothing listens unprotected."""

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from service.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
GPU = yaml.safe_load((DOCKER / "compose.gpu.yml").read_text())
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*$")


def test_every_image_is_pinned_to_a_whole_version() -> None:
    images = [service["image"] for part in (COMPOSE, GPU) for service in part["services"].values()]
    bases = [
        base for file in DOCKER.glob("*.Dockerfile") for base in re.findall(r"PYTHON_IMAGE=(\S+)", file.read_text())
    ]
    assert len(images) == 4
    assert len(bases) == 2
    assert [image for image in images + bases if not PINNED.match(image)] == []


def test_images_start_from_the_pinned_base_alone() -> None:
    for file in DOCKER.glob("*.Dockerfile"):
        stages = re.findall(r"^FROM (\S+)", file.read_text(), re.MULTILINE)
        assert set(stages) == {"${PYTHON_IMAGE}"}, file.name


def test_images_run_as_nobody_in_particular() -> None:
    for file in DOCKER.glob("*.Dockerfile"):
        users = re.findall(r"^USER (\d+):", file.read_text(), re.MULTILINE)
        assert users, file.name
        assert "0" not in users


def test_the_service_image_holds_no_torch() -> None:
    installs = re.findall(r"pip install.*", (DOCKER / "service.Dockerfile").read_text())
    assert installs
    assert not any("train" in line for line in installs)


def test_ports_are_published_on_loopback_alone() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_service_is_told_only_settings_that_it_knows() -> None:
    known = {"ECG_" + name.upper() for name in Settings.model_fields}
    told = [name for part in (COMPOSE, GPU) for name in part["services"]["service"]["environment"]]
    told += re.findall(r"\bECG_[A-Z_]+(?==)", (DOCKER / "service.Dockerfile").read_text())
    assert {name for name in told if name.startswith("ECG_")} <= known


def test_what_compose_tells_the_service_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in COMPOSE["services"]["service"]["environment"].items():
        monkeypatch.setenv(name, value)
    assert Settings().api_keys is not None


def test_what_is_answered_is_audited_in_a_volume_that_the_service_may_write() -> None:
    service = COMPOSE["services"]["service"]
    folder = str(Path(service["environment"]["ECG_AUDIT"]).parent)
    assert f"audit:{folder}" in service["volumes"]
    assert "audit" in COMPOSE["volumes"]
    image = (DOCKER / "service.Dockerfile").read_text()
    (user,) = re.findall(r"^USER (\d+):", image, re.MULTILINE)
    assert re.search(rf"install -d -o {user} -g \d+ -m 700 {folder}$", image, re.MULTILINE)


def test_every_secret_is_declared_and_kept_out_of_git() -> None:
    used = {name for service in COMPOSE["services"].values() for name in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])
    folders = {str(Path(secret["file"]).parent) for secret in COMPOSE["secrets"].values()}
    assert folders == {"docker/secrets"}
    assert "/docker/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_what_is_mounted_exists() -> None:
    mounts = [mount for service in COMPOSE["services"].values() for mount in service.get("volumes", [])]
    paths = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
@pytest.mark.parametrize("files", [["docker-compose.yml"], ["docker-compose.yml", "docker/compose.gpu.yml"]])
def test_docker_compose_accepts_it(files: list[str]) -> None:
    names = [part for file in files for part in ("-f", file)]
    done = subprocess.run(
        ["docker-compose", *names, "config", "-q"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_health_check_is_a_command_that_exists() -> None:
    written = (DOCKER / "service.Dockerfile").read_text()
    command: list[str] = json.loads(written.split("HEALTHCHECK", 1)[1].split("CMD ", 1)[1].splitlines()[0])
    assert command[:2] == ["python", "-m"]
    assert importlib.util.find_spec(command[2])
