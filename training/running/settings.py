"""What a run was started with, and what may be otherwise when it goes on."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from training.config import LoopConfig, ModelConfig
from training.errors import TrainingError

_log = logging.getLogger(__name__)

# How the same steps are computed, and who else trains: no other run.
FREE = frozenset({"accumulation", "compile", "checkpoint_minutes", "cross_validate", "model.factorised"})
# Another run than a whole one would have been, which may be what is wanted; schedules follow a new length at once.
SAID = frozenset({"epochs", "minutes", "precision", "look_every"})

Settings = Mapping[str, object]


def settings_of(stage: LoopConfig, model: ModelConfig | None) -> dict[str, object]:
    """The options of a stage by their names, those of its network under `model.`."""
    sizes = {} if model is None else asdict(model)
    return asdict(stage) | {f"model.{name}": value for name, value in sizes.items()}


def require_settings(before: Settings, now: Settings, checkpoint: Path) -> None:
    """Log what a run goes on with otherwise than it began; an option that one of the two does not know is no change.

    Raises:
        TrainingError: an option that would make it another run.
    """
    changed = [name for name in before if name in now and before[name] != now[name] and name not in FREE]
    for name in changed:
        if name not in SAID:
            detail = f"{name} = {before[name]}, and {now[name]} is asked for"
            raise TrainingError(f"{checkpoint} is of a run with {detail}; ask for the same, or choose another --out")
    for name in changed:
        _log.warning("the run goes on with %s = %s; it began with %s", name, now[name], before[name])
