"""What was measured on: the machine, and the versions of everything that took part."""

import os
import platform
import subprocess
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from tests.bench.servers import OURS, PEERS, python_of, why_not

GIBIBYTE = 1024**3
PROFILE_GUIDED = "--enable-optimizations"
SHARED = ("onnxruntime-gpu", "onnxruntime", "numpy", "scipy")


def machine() -> str:
    """Processor, cores, memory, system and Python in one line."""
    memory = psutil.virtual_memory().total / GIBIBYTE
    cores = os.cpu_count()
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB, {platform.system()}, {python(_configured_with())}"


def python(configured_with: str | None) -> str:
    """The interpreter's version, and whether it was configured to be built with profile-guided optimisation.

    Said is how it was configured and no more: Debian's packages are built so without the option.

    Args:
        configured_with: arguments of its `configure`; None where there was none.
    """
    said = f"Python {platform.python_version()}"
    if configured_with is None:
        return said
    return f"{said} configured {'with' if PROFILE_GUIDED in configured_with else 'without'} `{PROFILE_GUIDED}`"


def versions(name: str) -> str:
    """A server's version, and those of what it shares with the service."""
    if name == OURS:
        own = [f"{package} {found}" for package in ("uvicorn", *SHARED) if (found := _version(package))]
        return ", ".join(own)
    if reason := why_not(name):
        return reason
    code = f"from importlib.metadata import distributions as d; s={(PEERS[name], 'uvicorn', *SHARED)!r};" + (
        "f={x.name.lower(): x.version for x in d()}; print(', '.join(f'{n} {f[n]}' for n in s if n in f))"
    )
    said = subprocess.run([python_of(name), "-c", code], capture_output=True, text=True, check=True)
    return said.stdout.strip()


def _configured_with() -> str | None:
    found = sysconfig.get_config_var("CONFIG_ARGS")
    return None if found is None else str(found)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
