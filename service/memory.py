"""How much memory is in use, by the service's processes and on its card."""

import os
import resource
from collections.abc import Iterable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

_PAGES = Path("/proc/self/statm")


def process_bytes() -> float:
    """Resident memory of this process; where the system does not tell, the most that it ever was."""
    try:
        return float(_PAGES.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024


def processes_bytes(pids: Iterable[int]) -> float:
    """Resident memory of other processes, what they share counted for each; what has ended holds none."""
    pages = 0
    for pid in pids:
        with suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return float(pages) * resource.getpagesize()


def card_bytes() -> float:
    """Memory in use on the card that CUDA shows first, whoever uses it; NaN where the extra `gpu` is not installed."""
    if find_spec("pynvml") is None:
        return float("nan")
    import pynvml

    try:
        pynvml.nvmlInit()
        try:
            return float(pynvml.nvmlDeviceGetMemoryInfo(_card()).used)
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return float("nan")


def _card() -> object:
    import pynvml

    shown = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if shown.startswith(("GPU-", "MIG-")):
        return pynvml.nvmlDeviceGetHandleByUUID(shown)
    return pynvml.nvmlDeviceGetHandleByIndex(int(shown) if shown.isdigit() else 0)
