"""The command line of training: what each stage is asked, and how a failure is said in one line."""

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from model.errors import EcgError
from training.config import Config
from training.config_file import read_config, shipped_configs

FAILED = 2

# Every stage is `run` of its module, imported only when asked for: torch takes seconds.
MODULES = {
    "prepare": "training.data.prepare",
    "join": "training.data.join",
    "pretrain": "training.pretraining.pretrain",
    "finetune": "training.finetuning.finetune",
    "merge": "training.finetuning.merge",
    "protocol": "training.studies.protocols",
    "ablation": "training.studies.ablation",
    "waves": "training.waves.train",
    "calibrate": "training.evaluation.calibrate",
    "evaluate": "training.evaluation.evaluate",
    "evaluate-waves": "training.waves.bench",
    "p-waves": "training.waves.p_waves",
    "export": "training.bundling.export",
    "card": "training.bundling.card",
    "parity": "training.bundling.parity",
    "golden": "training.pretraining.golden",
    "import-published": "training.pretraining.import_published",
    "quality": "training.rules.quality",
    "hearts": "training.rules.hearts",
    "bounds": "training.rules.bounds",
    "simulate": "training.sources.simulated",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a stage; returns the exit status.

    What a stage returns is printed as one JSON object on the last line of stdout. What can be expected to go wrong
    (a path, a label, a setting, a full disk) ends in one line on stderr and status 2.
    """
    arguments = vars(_parsed(sys.argv[1:] if argv is None else argv))
    stage, configured = arguments.pop("stage"), arguments.pop("configured")
    try:
        if configured:
            arguments["config"] = _config(arguments)
        result = import_module(MODULES[stage]).run(**arguments)
    except EcgError as error:
        return _fail(error.detail)
    except OSError as error:
        return _fail(_disk(error))
    except KeyboardInterrupt:
        return _fail("interrupted; finished checkpoints are kept")
    if isinstance(result, dict) and os.environ.get("RANK", "0") == "0":  # of torchrun's processes the first speaks
        sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _fail(detail: str) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"error: {' '.join(detail.split())}\n")
    return FAILED


def _disk(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    short = error.errno is None and "written" in str(error)  # numpy's own, of a file that it could not end
    if short or error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{where}; finished checkpoints are kept"
    return f"{error.strerror or type(error).__name__}{where}"


def _config(arguments: dict[str, Any]) -> Config:
    return read_config(arguments.pop("config"), arguments.pop("overrides"))


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """What a stage is asked; `evaluate waves` is a stage of two words."""
    two = list(words[:2]) == ["evaluate", "waves"]
    return _parser().parse_args(["evaluate-waves", *words[2:]] if two else words)


def _parser() -> argparse.ArgumentParser:
    about = "From databases of ECGs to a bundle that is served, stage by stage; README.md has the order."
    parser = argparse.ArgumentParser(prog="python -m training", description=about)
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    training = (_prepare, _train_stages, _comparisons, _calibrate)
    for add in (*training, _evaluate, _evaluate_waves, _bundle_stages, _small_stages):
        add(stages)
    return parser


Stages = Any  # argparse keeps the type of its sub-parsers to itself


def _stage(stages: Stages, name: str, about: str, *, configured: bool = False) -> Callable[..., argparse.Action]:
    """A sub-command; returns what adds an argument to it."""
    parser: argparse.ArgumentParser = stages.add_parser(name, help=about, description=about)
    parser.set_defaults(configured=configured)
    if configured:
        names = ", ".join(shipped_configs())
        parser.add_argument("--config", help=f"a .toml file or one of {names}; defaults where left out")
        parser.add_argument(
            *("--set", "-s"),
            dest="overrides",
            action="append",
            default=[],
            metavar="SECTION.KEY=VALUE",
            help="lay one value over the configuration; may be repeated",
        )
    return parser.add_argument


def _prepare(stages: Stages) -> None:
    add = _stage(stages, "prepare", "write a database as windows, labels and an index")
    add("--source", required=True, help="which database: ptbxl, wfdb-folder, challenge, code15 ...")
    add("--data", type=Path, required=True, help="where it lies")
    add("--out", type=Path, required=True, help="folder to write; must not exist yet")
    add("--labels", help="PTB-XL as published: super, sub, all, form or rhythm in place of the vocabulary")
    add("--processes", type=int, default=2, help="records cut at a time (default 2)")
    add = _stage(stages, "join", "put prepared databases together, to learn from all of them at once")
    add("parts", type=Path, nargs="+", help="prepared folders, each of another database")
    add("--out", type=Path, required=True, help="folder to write; must not exist yet")


def _train_stages(stages: Stages) -> None:
    for name, about in (
        ("pretrain", "train an encoder without labels"),
        ("finetune", "train a diagnosis head, then the whole network, on labels"),
        ("waves", "train the wave head"),
    ):
        add = _stage(stages, name, about, configured=True)
        add("--data", type=Path, required=True, help="a prepared folder" if name != "waves" else "the database LUDB")
        add("--out", type=Path, required=True, help="folder for checkpoints and log; a run there is resumed")
        add("--device", default="auto", help="auto, cpu or cuda")
        if name == "waves":
            add("--rhythms", type=Path, help="a prepared folder whose fibrillation teaches when there is no P")
        if name != "pretrain":
            add("--from", dest="start", type=Path, help="checkpoint or bundle to start from; from scratch without")
        if name == "finetune":
            add("--whole", action="store_true", help="take up the head of `--from` too, not its encoder alone")


def _comparisons(stages: Stages) -> None:
    add = _stage(stages, "protocol", "measure a pretrained encoder as published ones are", configured=True)
    add("name", choices=("linear-probe", "low-shot", "finetune", "multi-class"), help="which protocol")
    add("--from", dest="start", type=Path, required=True, help="pretrained encoder, or a bundle")
    add("--data", type=Path, required=True, help="a prepared folder with the splits train, val and test")
    add("--out", type=Path, required=True, help="folder for results; what was computed there is used again")
    add("--device", default="auto", help="auto, cpu or cuda")
    add = _stage(stages, "ablation", "ask one question with two arms of the same budget", configured=True)
    add("name", choices=("scratch", "cropa", "masking"), help="which question")
    add("--data", type=Path, required=True, help="a prepared folder with the splits train, val and test")
    add("--out", type=Path, required=True, help="folder of the arms; one that was interrupted goes on")
    add("--device", default="auto", help="auto, cpu or cuda")
    _options(
        add,
        "ablation",
        epochs="passes over the train split for each arm",
        minutes="of training for each arm by the clock; with --epochs too, whichever comes first",
        share="of the patients of train and val by which an arm is read off; 1, the default, for all",
    )


def _calibrate(stages: Stages) -> None:
    add = _stage(
        stages, "calibrate", "fit probabilities and thresholds of a bundle on labelled records", configured=True
    )
    _bundle_and_data(add, split="val")
    add("--thresholds-version", help="name of the new thresholds; by default from the hashes of data and split")


def _evaluate(stages: Stages) -> None:
    add = _stage(stages, "evaluate", "score a bundle on labelled records, from its ONNX file", configured=True)
    _bundle_and_data(add, split="test")
    add("--out", type=Path, help="folder for report.json, report.md and plots; else figures are printed alone")
    _options(
        add,
        "evaluate",
        bootstrap="draws of the intervals",
        variant="graph of the bundle; by default the fastest fp32 for the device",
        device="auto, cpu, cuda or tensorrt",
        leads="comma list such as II or II,V1; every other lead is zeroed",
    )
    add(
        "--multi-class",
        dest="overrides",
        action="append_const",
        const="evaluate.protocol=multi-class",
        help="superclasses as in the paper: records with exactly one",
    )
    add(
        "--into-bundle",
        dest="overrides",
        action="append_const",
        const="evaluate.into_bundle=true",
        help="write the headline into the bundle's manifest",
    )


def _evaluate_waves(stages: Stages) -> None:
    add = _stage(stages, "evaluate-waves", "compare the wave head with neurokit2 (also as `evaluate waves`)")
    add("--data", type=Path, required=True, help="the database LUDB")
    add("--out", type=Path, required=True, help="folder for report.json, report.md and pictures")
    add("--waves", type=Path, help="a cross-validated run of `waves`; each record is read by the head it is new to")
    add("--bundle", type=Path, help="a bundle with a wave head, as it is served")
    add("--pictures", type=int, default=6, help="records to draw (default 6)")
    add("--classical", type=int, default=0, help="records that neurokit2 sees, evenly spread; 0, the default, for all")
    add = _stage(stages, "p-waves", "count P waves in unmarked records whose rhythm is known")
    add("--data", type=Path, required=True, help="a prepared folder with rhythms")
    add("--head", type=Path, required=True, help="a bundle, or a run of `waves`")
    add("--split", default="val", help="which split (default val); the head learns from train")


def _options(add: Callable[..., argparse.Action], section: str, **about: str) -> None:
    """Options that lay one value each over a section of the configuration, by name what each is about."""
    for name, text in about.items():
        line = _override(section, name)
        add(f"--{name}", dest="overrides", action="append", type=line, metavar=name[0].upper(), help=text)


def _override(section: str, option: str) -> Callable[[str], str]:
    """What turns an option's text into a line over the configuration."""

    def line(text: str) -> str:
        names = [name.strip() for name in text.split(",") if name.strip()]
        return f"{section}.{option}={json.dumps(names) if option == 'leads' else text}"

    return line


def _bundle_and_data(add: Callable[..., argparse.Action], *, split: str) -> None:
    add("--bundle", type=Path, required=True, help="folder with manifest.json")
    add("--data", type=Path, required=True, help="a prepared folder, or a database as published")
    add("--source", help="which database `--data` is; found by its files where left out")
    add("--split", default=split, help=f"train, val, test or all (default {split})")


def _bundle_stages(stages: Stages) -> None:
    add = _stage(stages, "merge", "put the detail paths of networks that learned apart side by side in one")
    add("--from", dest="start", type=Path, required=True, help="network or bundle whose encoder stays")
    add("--with", dest="others", type=Path, nargs="+", required=True, help="networks of finetune.detail_alone=1")
    add("--share", type=float, help="of the first in the mean of the logits, 0 to 1; each path counts one without")
    add("--leave-tokens", action="store_true", help="take other networks too, without what their tokens say")
    add("--out", type=Path, required=True, help="checkpoint to write")
    add = _stage(stages, "export", "write a bundle from a checkpoint", configured=True)
    add("--from", dest="start", type=Path, required=True, help="fine-tuned checkpoint")
    add("--data", type=Path, required=True, help="prepared folder, for parity on real records")
    add("--out", type=Path, required=True, help="folder of the bundle")
    add("--waves", type=Path, help="checkpoint of the wave head, or a bundle that has one")
    add = _stage(stages, "card", "write the model card of a scored bundle, and the logs of its runs beside it")
    add("--bundle", type=Path, required=True, help="folder with manifest.json")
    add("--runs", type=Path, required=True, help="folder that holds the runs pretrain, finetune and waves")
    add("--note", default="", help="what a reader of the card should know besides")
    add = _stage(stages, "parity", "compare every variant of a bundle with torch on real records")
    add("--bundle", type=Path, required=True, help="folder with manifest.json")
    add("--data", type=Path, required=True, help="a prepared folder, or a database as published")
    add("--records", type=int, default=200, help="how many (default 200)")


def _small_stages(stages: Stages) -> None:
    add = _stage(stages, "golden", "compare the network with arrays of the published code")
    add("file", type=Path, help=".npz with state, input, mask and expected arrays")
    add = _stage(stages, "import-published", "turn the authors' checkpoint into an encoder to start from")
    add("file", type=Path, help="the authors' .pth")
    add("--out", type=Path, required=True, help="checkpoint to write")
    add = _stage(stages, "quality", "score the signal-quality verdict on records that were judged by hand")
    add("--data", type=Path, required=True, help="folder with labels.csv (record, acceptable)")
    add = _stage(stages, "hearts", "fit the rule by which a lead holds a heart, and count its mistakes")
    add("--bundle", type=Path, required=True, help="folder with manifest.json")
    add("--data", type=Path, required=True, help="a prepared folder; fits on train, counts on val")
    add("--records", type=int, default=600, help="how many of each split (default 600)")
    add("--simulated", type=int, default=60, help="heartless recordings of each family (default 60)")
    add = _stage(stages, "bounds", "set the bounds of the quality verdict, and count what it refuses and lets pass")
    add("--data", type=Path, required=True, help="a database as published; sets on train, counts on val")
    add("--source", help="which database `--data` is; found by its files where left out")
    add("--simulated", type=int, default=60, help="heartless recordings of each family (default 60)")
    add = _stage(stages, "simulate", "write a folder of simulated labelled records")
    add("--out", type=Path, required=True, help="folder to write")
    add("--records", type=int, default=200, help="how many (default 200)")
    add("--seed", type=int, default=0, help="of everything random (default 0)")
