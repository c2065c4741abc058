"""Coverage-guided fuzzing of a decoder: `python -m tests.fuzz wfdb|zip|json|raw|upload|batch [libFuzzer's options]`."""

import ctypes
import logging
import sys
import tempfile
from pathlib import Path

import atheris

READ = ["model.files", "model.signal", "service.batches", "service.uploads", "zipfile", "python_multipart"]
"""What is fuzzed; the fuzzer is led by what of it a body reaches."""

with atheris.instrument_imports(include=READ, enable_loader_override=False):
    from tests.fuzz.bounds import Cost, hold
    from tests.fuzz.targets import TARGETS

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


def main() -> None:
    """Fuzz until the options say stop, or a body does what none may; that body is then written to `crash-*`.

    A line tells of every body that took longer, or more memory, than all before: the fuzzer ends the process itself.
    """
    name, *options = sys.argv[1:]
    target, most = TARGETS[name], Cost(0.0, 0)
    _give_memory_back()
    logging.disable(logging.WARNING)  # parsers tell of every body

    def try_one(body: bytes) -> None:
        nonlocal most
        cost = hold(target.ecgs, body)
        worst = Cost(max(most.seconds, cost.seconds), max(most.held_bytes, cost.held_bytes))
        if worst != most:
            most = worst
            sys.stderr.write(f"{name}: longest {most.seconds * 1000:.1f} ms, most {most.held_bytes / 2**20:.1f} MiB\n")

    with tempfile.TemporaryDirectory() as corpus:
        for number, body in enumerate(target.bodies):
            (Path(corpus) / str(number)).write_bytes(body)
        settings = ["-max_len=65536", "-timeout=5", "-print_final_stats=1", *options]
        atheris.Setup([sys.argv[0], *settings, corpus], try_one)
        atheris.Fuzz()


def _give_memory_back() -> None:
    """Have glibc keep nothing that was freed, or the next body would use it unseen."""
    if sys.platform == "linux":
        system = ctypes.CDLL(None)
        for threshold in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            system.mallopt(threshold, 128 * 1024)


main()
