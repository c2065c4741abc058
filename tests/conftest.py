"""Fixtures that every test may ask for: the example records, and real ones where they are at hand."""

import os
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of simulated example records, one in each format that is read."""
    return EXAMPLES


@pytest.fixture(scope="session")
def ecg_data() -> Path:
    """The folder of real records that ECG_DATA names; a test that asks for it carries the marker `real`."""
    folder = os.environ.get("ECG_DATA")
    if not folder:
        pytest.skip("ECG_DATA names no folder of real ECGs")
    return Path(folder)
