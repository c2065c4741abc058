"""Coverage-guided fuzzing of a decoder: `python -m tests.fuzz wfdb|zip|json|raw [options of libFuzzer]`."""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["model.files", "model.signal", "zipfile"], enable_loader_override=False):
    from tests.fuzz.targets import TARGETS, hold


def main() -> None:
    """Fuzz until the options say stop, or a body does what none may; that body is then written to `crash-*`."""
    name, *options = sys.argv[1:]
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, body in enumerate(target.bodies):
            (Path(corpus) / str(number)).write_bytes(body)
        settings = ["-max_len=65536", "-timeout=5", "-print_final_stats=1", *options]
        atheris.Setup([sys.argv[0], *settings, corpus], lambda body: hold(target, body))
        atheris.Fuzz()


main()
