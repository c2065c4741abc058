"""From a folder to a bundle on its engine that has proved itself on this machine, or a reason why not."""

from pathlib import Path

from model.bundle import Bundle, read_bundle
from model.engine import Card, Engine, OnnxEngine
from service.settings import Settings
from service.soundness import require_numerics

CARD_WINDOWS = 32
"""Most windows of one batch on a card, unless the settings say otherwise."""


def load_model(settings: Settings, folder: Path) -> tuple[Bundle, Engine]:
    """A verified bundle, and its engine, which answers as where the bundle was made.

    Raises:
        BundleError: hashes, schema or self-test fail.
        EngineError: it does not run on the device that was asked for.
    """
    bundle = read_bundle(folder)
    engine = build_engine(settings, bundle)
    require_numerics(engine, bundle)
    return bundle, engine


def build_engine(settings: Settings, bundle: Bundle) -> Engine:
    """The engine that the settings ask for; raises EngineError."""
    card = Card(largest=settings.batch_windows or CARD_WINDOWS, engines=settings.engine_cache)
    return OnnxEngine(bundle, variant=settings.variant, device=settings.device, card=card)
