"""A bundle that would not answer as it should never gets to answer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from model.bundle import Bundle, SelfTest, file_sha256, read_bundle
from model.engine import OnnxEngine, Outputs
from model.errors import BundleError
from service.soundness import require_numerics, require_parity, require_sound
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


def test_a_bundle_proves_itself_by_the_answers_it_came_with(tmp_path: Path) -> None:
    right = read_bundle(write_toy_bundle(tmp_path / "right"))
    require_numerics(OnnxEngine(right, device="cpu"), right)
    wrong = read_bundle(write_toy_bundle(tmp_path / "wrong", off_by=0.01))
    with pytest.raises(BundleError, match=r"is 0\.01 from the self-test"):
        require_numerics(OnnxEngine(wrong, device="cpu"), wrong)
    other = read_bundle(write_toy_bundle(tmp_path / "other", ("AF", "SB")))
    with pytest.raises(BundleError, match="logits of shape"):
        require_numerics(OnnxEngine(right, device="cpu"), other)


def test_wave_outputs_are_held_against_the_self_test(tmp_path: Path) -> None:
    bundle = read_bundle(write_toy_bundle(tmp_path / "toy"))
    engine, test = OnnxEngine(bundle, device="cpu"), tmp_path / "toy" / "self_test.npz"
    with np.load(test) as archive:
        arrays = dict(archive) | {"wave_label": np.ones((2, 12, 100), np.uint8)}
    np.savez(test, **arrays)
    sha256 = file_sha256(test)
    bundle = replace(bundle, manifest=replace(bundle.manifest, self_test=SelfTest(test.name, sha256)))
    require_numerics(WithWaves(engine, np.ones((2, 12, 100), np.uint8)), bundle)
    for waves in (np.full((2, 12, 100), 3, np.uint8), np.ones((2, 12, 50), np.uint8)):
        with pytest.raises(BundleError, match="fails the self-test in wave_label"):
            require_numerics(WithWaves(engine, waves), bundle)


class WithWaves:
    """A toy engine that also answers waves."""

    def __init__(self, engine: OnnxEngine, waves: npt.NDArray[np.uint8]) -> None:
        self.variant, self.device = engine.variant, engine.device
        self._engine, self._waves = engine, waves

    def run(self, windows: Array) -> Outputs:
        outputs = self._engine.run(windows)
        return Outputs(outputs.logits, outputs.embedding, {"wave_label": self._waves})


def test_a_bundle_without_a_self_test_is_held_against_its_reference_and_says_so(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    require_numerics(StubEngine(), bundle)
    assert "no self-test" in caplog.text


def test_a_self_test_that_was_altered_is_no_bundle(tmp_path: Path) -> None:
    folder = write_toy_bundle(tmp_path / "toy")
    (folder / "self_test.npz").write_bytes(b"PK")
    with pytest.raises(BundleError, match=r"self_test\.npz does not match"):
        read_bundle(folder)


def test_a_variant_is_held_against_the_reference(tmp_path: Path) -> None:
    bundle = read_bundle(write_toy_bundle(tmp_path / "toy"))
    require_parity(OnnxEngine(bundle, device="cpu"), bundle)
    other = StubEngine(device="cuda")
    with pytest.raises(BundleError):
        require_parity(other, bundle)
