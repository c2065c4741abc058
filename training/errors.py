"""What a training stage cannot go on with, each in one line that names the thing and the remedy."""

from typing import ClassVar

from model.errors import EcgError


class TrainingError(EcgError):
    """A path, label, table, configuration or checkpoint that a stage cannot use."""

    code: ClassVar[str] = "training"
