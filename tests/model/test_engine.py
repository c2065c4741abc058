"""A device is given, refused or, under `auto`, replaced by the CPU; never taken away in silence."""

import numpy as np
import pytest

from model import engine
from model.bundle import Bundle, read_bundle
from model.engine import OnnxEngine
from model.errors import EngineError
from service.settings import default_bundle


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(default_bundle())


def test_auto_serves_on_the_cpu_where_a_card_cannot_be_used(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_has_card", lambda: True)
    monkeypatch.setitem(engine.PROVIDERS, "cuda", "NoSuchProvider")
    opened = OnnxEngine(bundle)
    assert opened.device == "cpu"
    assert np.isfinite(opened.run(np.zeros((1, 8, 2500), np.float32)).logits).all()


def test_a_device_that_was_asked_for_is_given_or_refused(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engine.PROVIDERS, "cuda", "NoSuchProvider")
    with pytest.raises(EngineError):
        OnnxEngine(bundle, device="cuda")
    with pytest.raises(EngineError, match="unknown device"):
        OnnxEngine(bundle, device="abacus")
    with pytest.raises(EngineError, match="no variant"):
        OnnxEngine(bundle, device="cpu", variant="masked-fp4")
