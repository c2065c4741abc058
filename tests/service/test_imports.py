"""What the serving process does not load."""

import os
import subprocess
import sys

HEAVY = ("torch", "sklearn", "matplotlib", "neurokit2", "pandas", "wfdb", "onnx")


def test_the_application_loads_nothing_heavy() -> None:
    code = f"import sys; import service.app, service.server; print([n for n in {HEAVY!r} if n in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_numpy_starts_no_threads_of_its_own() -> None:
    code = (
        "import service.server, numpy, os; square = numpy.ones((800, 800)) @ numpy.ones((800, 800));"
        " print(len(os.listdir('/proc/self/task')))"
    )
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    threads = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=kept)
    assert threads.stdout.strip() == "1"
