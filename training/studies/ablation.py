"""Ablations, each one question with two arms of the same budget: what changes the figure, and by how much."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from training.config import Config, LoopConfig, Masking
from training.data.dataset import read_prepared
from training.finetuning import finetune
from training.pretraining import pretrain
from training.running.loop import LOG
from training.studies.protocols import Bench, Probe, Result, read_off, tuned_result, write_results


@dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    Attributes:
        name: of the arm, in words.
        config: of its run.
        pretrained: share of the minutes that goes into pretraining, the rest into fine-tuning. An arm of pretraining
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


def run(name: str, config: Config, data: Path, out: Path, *, minutes: float, device: str = "auto") -> dict[str, object]:
    """Run both arms of an ablation; `out` gets their runs, and the results as JSON and as a table.

    Args:
        name: one of `ABLATIONS`.
        config: what the arms have in common.
        data: a folder that `prepare` wrote, with all three splits.
        out: folder of the arms; one that was interrupted goes on.
        minutes: of training for each arm.
        device: `auto`, or a device of torch.

    Raises:
        TrainingError: data or a checkpoint that cannot be used.
    """
    prepared, results = read_prepared(data), []
    for number, arm in enumerate(ABLATIONS[name](config)):
        bench = Bench(arm.config, prepared, None, out / f"arm{number}", device)
        results.append(_measure(arm, bench, minutes))
    write_results(f"ablation-{name}", results, out)
    return {"ablation": name, "minutes": minutes, "results": [asdict(one) for one in results]}


def _measure(arm: Arm, bench: Bench, minutes: float) -> Result:
    config, folder = arm.config, bench.data.folder
    before, after = bench.out / "pretrain", bench.out / "finetune"
    if arm.pretrained:
        stage = replace(config.pretrain, minutes=minutes * arm.pretrained)
        pretrain.run(replace(config, pretrain=stage), folder, before, device=bench.device)
        bench = replace(bench, start=before / pretrain.ENCODER)
    if arm.pretrained == 1.0:
        seen = _seen(before, config.pretrain)
        return read_off(bench, bench.frozen(), Probe(f"{arm.name}, {seen}", bench.data.rows("train")))
    tuning = replace(config.finetune, minutes=minutes * (1 - arm.pretrained))
    finetune.run(replace(config, finetune=tuning), folder, after, device=bench.device, start=bench.start)
    return tuned_result(bench, f"{arm.name}, {_seen(after, tuning)}", after)


def _seen(run_folder: Path, stage: LoopConfig) -> str:
    """How many ECGs a run has seen, which at the same minutes need not be the same."""
    last = json.loads((run_folder / LOG).read_text().splitlines()[-1])
    return f"{last['step'] * stage.batch_size:,} ECGs seen"
