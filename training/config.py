"""The settings of every stage: one frozen dataclass each, with what its values may be."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from model.nn.config import EncoderConfig, PredictorConfig
from model.signal.spec import SPEC
from training.errors import TrainingError

Precision = Literal["fp32", "bf16"]
Masking = Literal["random", "multi-block"]
Start = Literal["large", "published"]
Protocol = Literal["multi-label", "multi-class"]

# What a number may be, lowest and highest.
Positive = Annotated[int, (1, math.inf)]
Count = Annotated[int, (0, math.inf)]
Amount = Annotated[float, (0.0, math.inf)]
Share = Annotated[float, (0.0, 1.0)]
Crop = Annotated[int, (2, SPEC.patches)]


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of encoder, predictor and diagnosis head.

    Attributes:
        dim: width of a token.
        depth: blocks of the encoder.
        heads: attention heads; divides `dim`.
        predictor_dim: width inside the predictor.
        predictor_depth: blocks of the predictor.
        predictor_heads: attention heads of the predictor; divides `predictor_dim`.
        factorised: row and column attention under one softmax instead of dense attention under a mask.
        cropa: False opens every key to every query, for the ablation.
        detail: the head's convolutional path over the raw window beside the tokens.
        detail_paths: how many such paths stand side by side; `merge` makes several of one each.
    """

    dim: Positive = 128
    depth: Positive = 6
    heads: Positive = 4
    predictor_dim: Positive = 64
    predictor_depth: Positive = 4
    predictor_heads: Positive = 4
    factorised: bool = True
    cropa: bool = True
    detail: bool = True
    detail_paths: Positive = 1

    def __post_init__(self) -> None:
        _require_multiple("dim", self.dim, math.lcm(4, self.heads))  # positions are sines and cosines of two axes
        _require_multiple("predictor_dim", self.predictor_dim, math.lcm(2, self.predictor_heads))

    @property
    def encoder(self) -> EncoderConfig:
        """Sizes of the encoder."""
        return EncoderConfig(self.dim, self.depth, self.heads, factorised=self.factorised, cropa=self.cropa)

    @property
    def predictor(self) -> PredictorConfig:
        """Sizes of the predictor."""
        return PredictorConfig(self.predictor_dim, self.predictor_depth, self.predictor_heads)

    @property
    def paths(self) -> int:
        """Detail paths of the head."""
        return self.detail_paths if self.detail else 0


@dataclass(frozen=True)
class LoopConfig:
    """How long a stage trains, and how fast.

    Attributes:
        epochs: passes over the rows; the end of the run unless `minutes` comes first.
        minutes: a fixed end by the clock, 0 for none; the schedules then follow whichever is further along.
        batch_size: rows of one optimiser step, over all processes and accumulated parts.
        accumulation: parts a process splits its share of a batch into.
        rate: peak learning rate.
        warmup: share of the run over which the rate rises.
        floor: share of the peak rate that is left at the end.
        beta2: how long AdamW remembers squared gradients.
        decay: weight decay of matrices and kernels.
        clip: largest norm of the gradient; 0 for none.
        precision: bf16 is autocast, for devices that compute it natively.
        compile: torch.compile the network; on the CPU, where it does not pay, this is left out.
        seed: of everything random.
        look_every: passes between two lines of the log, and two probes or scores by which a checkpoint is picked; more
            where a pass takes a card seconds, no longer than a look.
        checkpoint_minutes: how often the run is saved.
    """

    epochs: Amount = 10.0
    minutes: Amount = 0.0
    batch_size: Positive = 64
    accumulation: Positive = 1
    rate: Amount = 1e-3
    warmup: Share = 0.05
    floor: Share = 0.0
    beta2: Share = 0.98
    decay: Amount = 0.05
    clip: Amount = 1.0
    precision: Precision = "fp32"
    compile: bool = False
    seed: Count = 0
    look_every: Positive = 1
    checkpoint_minutes: Amount = 5.0


@dataclass(frozen=True)
class AugmentConfig:
    """How strongly training windows are changed; 0 turns a change off. A window is never flipped vertically.

    Attributes:
        crop_patches: time patches of a crop, each window at an offset of its own; 50 is the whole window.
        lead_dropout: chance of each lead to be silent in a window; never all of them.
        lead_subset: chance of a window to keep only a random few leads.
        amplitude: standard deviation of the log of one gain a window.
        wander_mv: largest amplitude of a slow sine added a lead.
        noise_mv: largest standard deviation of white noise added a lead.
    """

    crop_patches: Crop = SPEC.patches
    lead_dropout: Share = 0.0
    lead_subset: Share = 0.0
    amplitude: Amount = 0.0
    wander_mv: Amount = 0.0
    noise_mv: Amount = 0.0

    @property
    def changes(self) -> bool:
        """Whether windows are changed at all."""
        amounts = (self.lead_dropout, self.lead_subset, self.amplitude, self.wander_mv, self.noise_mv)
        return any(amounts) or self.crop_patches < SPEC.patches


@dataclass(frozen=True)
class PretrainConfig(AugmentConfig, LoopConfig):
    """Self-supervised training.

    Attributes:
        start: random weights large enough to learn from little, or as small as the authors' code begins.
        masking: which patches are hidden.
        momentum_start: of the target encoder; it rises on a line to 1.
        drop_path: stochastic depth of encoders and predictor, rising on a line from the first block's 0 to this.
        probe_records: train records of the linear probe that picks the checkpoint on val; 0 keeps the last.
    """

    epochs: Amount = 100.0
    start: Start = "large"
    masking: Masking = "random"
    momentum_start: Share = 0.996
    drop_path: Share = 0.0
    probe_records: Count = 0


@dataclass(frozen=True)
class FinetuneConfig(AugmentConfig, LoopConfig):
    """Supervised training of diagnosis head and encoder.

    Attributes:
        protocol: `multi-class` learns one superclass out of all, from the records that have exactly one.
        share: of the patients of the train split that teach; a smaller share is part of a larger one.
        share_seed: which patients these are.
        min_positives: a statement with fewer in the train split is not an output.
        detail_alone: share of the run, at its start, in which the detail path learns without the encoder's tokens.
        frozen: share of the run up to which the encoder is not changed.
        layer_decay: factor on the rate from a block to the one below it.
        encoder_rate: factor on the rate of the whole encoder.
        dropout: before the last layer of the head.
        averaging: momentum of the averaged weights, which are the ones that are kept; 0 keeps the last.
        whole_windows: share of the run, at its end, in which windows are not cropped.
        scored_from: share of the run before which the val split is not scored.
    """

    protocol: Protocol = "multi-label"
    share: Share = 1.0
    share_seed: Count = 0
    min_positives: Count = 20
    detail_alone: Share = 0.0
    frozen: Share = 0.1
    layer_decay: Share = 0.8
    encoder_rate: Amount = 0.5
    dropout: Share = 0.2
    averaging: Share = 0.998
    whole_windows: Share = 0.1
    scored_from: Share = 0.0


@dataclass(frozen=True)
class WavesConfig(LoopConfig):
    """Training of the wave head.

    Attributes:
        cross_validate: train five more heads, each without a fifth of the records, for figures that can be believed.
    """

    cross_validate: bool = True
    epochs: Amount = 60.0
    batch_size: Positive = 6
    rate: Amount = 3e-3
    decay: Amount = 0.02


@dataclass(frozen=True)
class AblationConfig:
    """What both arms of an ablation get; `epochs`, `minutes` or whichever of them comes first.

    Attributes:
        epochs: passes over the train split for each arm, 0 for no such bound. They are the fair budget where other work
            shares the machine.
        minutes: of training for each arm by the clock, 0 for no such bound.
        share: of the patients of train and of val by which a pretrained arm is read off: the former teach the linear
            probe, the latter choose its penalty. Test is always whole.
        share_seed: which patients these are.
    """

    epochs: Amount = 0.0
    minutes: Amount = 0.0
    share: Share = 1.0
    share_seed: Count = 0


@dataclass(frozen=True)
class CalibrateConfig:
    """Calibration and thresholds on validation records.

    Attributes:
        min_positives: with fewer positives, or fewer negatives, a statement keeps its slope and its threshold.
        default_threshold: on the probability, where none has been chosen yet.
        min_threshold: floor of a chosen threshold.
        max_threshold: ceiling of a chosen threshold.
        conformal_confidence: with which a prediction set covers 90 %, over the draw of these records.
    """

    min_positives: Count = 10
    default_threshold: Share = 0.5
    min_threshold: Share = 0.05
    max_threshold: Share = 0.95
    conformal_confidence: Share = 0.95


@dataclass(frozen=True)
class EvaluateConfig:
    """Figures and their intervals.

    Attributes:
        bootstrap: draws of an interval.
        seed: of the draws.
        batch_size: windows the network sees at a time.
        min_positives: a statement with fewer positives is left out of its group's mean.
        protocol: `multi-class` keeps records with exactly one superclass and lets the superclasses compete.
        leads: the leads that the network may see, the others zeroed; empty for all.
        variant: graph of the bundle; empty for the fastest fp32 of the device.
        device: auto, cpu, cuda or tensorrt.
        processes: how many records of a database are read at a time.
        into_bundle: write the headline into the bundle's manifest, under `metrics` and the name of the split.
    """

    bootstrap: Count = 1000
    seed: Count = 0
    batch_size: Positive = 32
    min_positives: Count = 20
    protocol: Protocol = "multi-label"
    leads: tuple[str, ...] = ()
    variant: str = ""
    device: str = "auto"
    processes: int = 2
    into_bundle: bool = False


@dataclass(frozen=True)
class ExportConfig:
    """What a bundle is called and holds."""

    name: str = "ecg-jepa"
    version: str = "0.1.0"
    variants: tuple[str, ...] = ("masked-fp32", "factorised-fp32")


@dataclass(frozen=True)
class Config:
    """Every stage's settings; a section that the file leaves out keeps its defaults."""

    model: ModelConfig = field(default_factory=ModelConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    waves: WavesConfig = field(default_factory=WavesConfig)
    ablation: AblationConfig = field(default_factory=AblationConfig)
    calibrate: CalibrateConfig = field(default_factory=CalibrateConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    export: ExportConfig = field(default_factory=ExportConfig)


def _require_multiple(name: str, width: int, of: int) -> None:
    if width % of:
        raise TrainingError(f"model.{name} is {width}, wanted a multiple of {of}, for its heads and positions")
