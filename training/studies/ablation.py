"""Ablations, each one question with two arms of the same budget: what changes the figure, and by how much."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from training.config import AblationConfig, Config, LoopConfig, Masking
from training.data.dataset import read_prepared
from training.errors import TrainingError
from training.finetuning import finetune
from training.pretraining import pretrain
from training.running.loop import LOG
from training.studies.protocols import Bench, Probe, read_off, tuned_result
from training.studies.results import Result, difference, write_results

UNBOUND = 1e6  # passes, where the clock alone ends an arm

Stage = TypeVar("Stage", bound=LoopConfig)


@dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    Attributes:
        name: of the arm, in words.
        config: of its run.
        pretrained: share of the budget that goes into pretraining, the rest into fine-tuning. An arm of pretraining
            alone is scored by a linear probe, another as it stands.
    """

    name: str
    config: Config
    pretrained: float = 1.0


def scratch(config: Config) -> tuple[Arm, Arm]:
    """Half of the time without labels and half with them, or all of it with them."""
    return Arm("pretrained, then fine-tuned", config, 0.5), Arm("fine-tuned from scratch", config, 0.0)


def cropa(config: Config) -> tuple[Arm, Arm]:
    """Cross-Pattern Attention or full attention in the encoder, CroPA under its mask: neither has a faster form."""

    def arm(name: str, *, masked: bool) -> Arm:
        return Arm(name, replace(config, model=replace(config.model, factorised=False, cropa=masked)))

    return arm("CroPA", masked=True), arm("full attention", masked=False)


def masking(config: Config) -> tuple[Arm, Arm]:
    """Random or multi-block masks in pretraining."""

    def arm(kind: Masking) -> Arm:
        return Arm(f"{kind} masks", replace(config, pretrain=replace(config.pretrain, masking=kind)))

    return arm("random"), arm("multi-block")


ABLATIONS: dict[str, Callable[[Config], tuple[Arm, Arm]]] = {"scratch": scratch, "cropa": cropa, "masking": masking}


def run(name: str, config: Config, data: Path, out: Path, *, device: str = "auto") -> dict[str, object]:
    """Run both arms of an ablation; `out` gets their runs, and the results as JSON and as a table.

    Args:
        name: one of `ABLATIONS`.
        config: what the arms have in common, and in `ablation` their budget.
        data: a folder that `prepare` wrote, with all three splits.
        out: folder of the arms; one that was interrupted goes on.
        device: `auto`, or a device of torch.

    Returns:
        The budget, both results, and by how much the first is better, with the interval of draws that both share.

    Raises:
        TrainingError: no budget, or data or a checkpoint that cannot be used.
    """
    if not (config.ablation.epochs or config.ablation.minutes):
        raise TrainingError("an ablation needs a budget for each arm: --epochs, --minutes or both")
    prepared = read_prepared(data)
    benches = [
        (arm, Bench(arm.config, prepared, None, out / f"arm{number}", device))
        for number, arm in enumerate(ABLATIONS[name](config))
    ]
    first, second = (_measure(arm, bench) for arm, bench in benches)
    apart = difference(first, second)
    said = {"ablation": name, **asdict(config.ablation), "results": [first.said(), second.said()]}
    said |= {"difference": asdict(apart)}
    write_results(f"ablation-{name}", [first, second], said, out, apart=apart)
    return said


def _measure(arm: Arm, bench: Bench) -> Result:
    """The figure of an arm: fine-tuned as it stands, or what a linear probe reads off it."""
    folder, before, after = bench.data.folder, bench.out / "pretrain", bench.out / "finetune"
    seen = []
    if arm.pretrained:
        config = replace(arm.config, pretrain=_budgeted(arm.config.pretrain, arm.config.ablation, arm.pretrained))
        pretrain.run(config, folder, before, device=bench.device)
        bench = replace(bench, start=before / pretrain.ENCODER)
        seen.append(_seen(before, config.pretrain))
    if arm.pretrained < 1.0:
        tuned = replace(arm.config, finetune=_budgeted(arm.config.finetune, arm.config.ablation, 1 - arm.pretrained))
        finetune.run(tuned, folder, after, device=bench.device, start=bench.start)
        seen.append(_seen(after, tuned.finetune))
        return tuned_result(bench, _named(arm, seen), after)
    share, seed = arm.config.ablation.share, arm.config.ablation.share_seed
    teaching, choosing = bench.data.some_rows("train", share, seed), bench.data.some_rows("val", share, seed)
    return read_off(bench, bench.frozen(), Probe(_named(arm, seen), teaching, choosing=choosing))


def _budgeted(stage: Stage, budget: AblationConfig, share: float) -> Stage:
    """A stage that ends with its share of the budget, whatever its own configuration says."""
    return replace(stage, epochs=share * budget.epochs or UNBOUND, minutes=share * budget.minutes)


def _seen(run_folder: Path, stage: LoopConfig) -> str:
    """How many ECGs a run has seen in how long, of which one at least differs between arms."""
    last = json.loads((run_folder / LOG).read_text().splitlines()[-1])
    return f"{last['step'] * stage.batch_size:,} ECGs seen in {last['minutes']:.1f} min"


def _named(arm: Arm, seen: list[str]) -> str:
    return f"{arm.name}: {', then '.join(seen)}"
