"""A bundle that would not answer as it should never gets to answer."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from model.bundle import Bundle, read_bundle
from model.engine import OnnxEngine, Outputs
from model.errors import BundleError
from service.soundness import require_parity, require_sound
from tests.service.stubs import StubEngine
from tests.training.toy_bundle import write_toy_bundle

Array = npt.NDArray[np.float32]


@pytest.fixture
def bundle(bundle_folder: Path) -> Bundle:
    return read_bundle(bundle_folder)


def test_a_sound_bundle_is_warmed_in_every_size(bundle: Bundle) -> None:
    engine = StubEngine()
    require_sound(engine, bundle, largest=8)
    assert engine.batches == [1, 1, 1, 1, 1, 2, 4, 8]
    require_parity(engine, bundle)


class OfItsBatch(StubEngine):
    def run(self, windows: Array) -> Outputs:
        outputs = super().run(windows)
        return Outputs(outputs.logits + len(windows), outputs.embedding, {})


class NotFinite(StubEngine):
    def run(self, windows: Array) -> Outputs:
        outputs = super().run(windows)
        return Outputs(outputs.logits * np.float32(np.nan), outputs.embedding, {})


class Narrow(StubEngine):
    def run(self, windows: Array) -> Outputs:
        outputs = super().run(windows)
        return Outputs(outputs.logits[:, :-1], outputs.embedding, {})


@pytest.mark.parametrize("kind", [OfItsBatch, NotFinite, Narrow])
def test_an_unsound_one_is_refused(bundle: Bundle, kind: type[StubEngine]) -> None:
    with pytest.raises(BundleError):
        require_sound(kind(), bundle, largest=2)


def test_a_variant_is_held_against_the_reference(tmp_path: Path) -> None:
    bundle = read_bundle(write_toy_bundle(tmp_path / "toy"))
    require_parity(OnnxEngine(bundle, device="cpu"), bundle)
    other = StubEngine(device="cuda")
    with pytest.raises(BundleError):
        require_parity(other, bundle)
