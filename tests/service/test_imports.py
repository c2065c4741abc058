"""What the serving process does not load."""

import subprocess
import sys

HEAVY = ("torch", "sklearn", "matplotlib", "neurokit2", "pandas", "wfdb", "onnx")


def test_the_application_loads_nothing_heavy() -> None:
    code = f"import sys; import service.app, service.server; print([n for n in {HEAVY!r} if n in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
