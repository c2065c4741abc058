"""The published protocols on a pretrained encoder: what can be read off it, from how many labels, and after tuning.

Superclasses on the official folds, as in Kim, arXiv 2410.08559: the regularisation is chosen on val, the figure is of
test. Low-shot subsets are of patients, and 1 % is part of 10 %.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from model.nn.encoder import Encoder
from model.reading.statements import SUPERCLASSES
from training.config import Config, Protocol
from training.data.dataset import PreparedSet, cluster_numbers, read_prepared
from training.data.windows import WindowStore
from training.errors import TrainingError
from training.evaluation.metrics import auroc, auroc_of_pairs, macro, resample
from training.finetuning import finetune
from training.finetuning.objectives import OBJECTIVES, Objective
from training.pretraining.representations import Representations
from training.running.device import resolve_device
from training.running.state import read_encoder, read_trained
from training.sources.catalogue import SPLITS
from training.studies.results import Result, write_results

Floats = npt.NDArray[np.floating]
Rows = npt.NDArray[np.intp]
Scorer = Callable[[Floats], Floats]
Labels = npt.NDArray[np.int8]
Draws = npt.NDArray[np.float64]
Area = Callable[[Floats, Labels, Draws], Draws]

KEYS = tuple(one.key for one in SUPERCLASSES)
PENALTIES = (0.001, 0.01, 0.1, 1.0)  # inverse strengths
PUBLISHED_BY_SHARE = {0.01: 0.839, 0.1: 0.893}
SEEDS = (0, 1, 2)
MULTI_LABEL: Protocol = "multi-label"
MULTI_CLASS: Protocol = "multi-class"


@dataclass(frozen=True, eq=False)
class Bench:
    """What the protocols work on.

    Attributes:
        config: of the encoder, of fine-tuning and of the figures.
        data: with all three splits.
        start: a pretrained encoder's file, or a bundle; None starts from scratch.
        out: folder for what is computed.
        device: `auto`, or a device of torch.
    """

    config: Config
    data: PreparedSet
    start: Path | None
    out: Path
    device: str

    def __post_init__(self) -> None:
        if not all(len(self.data.rows(split)) for split in SPLITS):
            raise TrainingError(f"{self.data.folder} lacks one of the splits {', '.join(SPLITS)}")

    def frozen(self) -> Representations:
        """The pretrained encoder's representations."""
        encoder = Encoder(replace(self.config.model.encoder, factorised=True))
        try:
            if self.start is not None:
                encoder.load_state_dict(read_encoder(self.start))
        except RuntimeError as error:
            raise TrainingError(f"the encoder has other sizes than [model]: {str(error).splitlines()[-1]}") from None
        return Representations(encoder.to(resolve_device(self.device)), self.data, self.out)

    def usable(self, objective: Objective, rows: Rows) -> tuple[Rows, Labels]:
        """The rows that an objective is about, and their labels; TrainingError where there is none."""
        labels = self.data.labels_of(KEYS)[rows]
        keep = objective.usable(labels)
        if not keep.any():
            raise TrainingError(
                f"{self.data.folder}: none of {len(rows)} records has superclasses to teach or to score"
            )
        return rows[keep], labels[keep]

    def measure(self, scores: Floats, labels: Labels, rows: Rows, area: Area | None = None) -> Draws:
        """Macro AUROC, each class against the rest or by another `area`, then that of each draw, (draws + 1,)."""
        area = area or _macro
        draws, seed = self.config.evaluate.bootstrap, self.config.evaluate.seed
        clusters = cluster_numbers(list(self.data.patients[rows]))
        return resample(lambda weights: area(scores, labels, weights), clusters, draws=draws, seed=seed)


def run(name: str, config: Config, data: Path, out: Path, *, start: Path, device: str = "auto") -> dict[str, object]:
    """Run a protocol; `out` gets its results as JSON and as a table beside the published figures.

    Args:
        name: one of `PROTOCOLS`.
        config: sizes of the encoder, and for those that tune, the settings of fine-tuning.
        data: a folder that `prepare` wrote, with all three splits.
        out: folder for results, representations and runs; what is there is used.
        start: a pretrained encoder's file, or a bundle.
        device: `auto`, or a device of torch.

    Raises:
        TrainingError: data or a checkpoint that cannot be used.
    """
    results = list(PROTOCOLS[name](Bench(config, read_prepared(data), start, out, device)))
    said = [one.said() for one in results]
    write_results(name, results, said, out)
    return {"protocol": name, "results": said}


@dataclass(frozen=True)
class Probe:
    """What is read off a frozen encoder.

    Attributes:
        name: of the protocol, in words.
        rows: records that teach.
        published: what the paper gives.
        kind: how labels are read.
        deviation: the deviation over tokens beside their mean, which is what was published.
        choosing: records of val that choose the penalty; None for all.
    """

    name: str
    rows: Rows
    published: float | None = None
    kind: Protocol = MULTI_LABEL
    deviation: bool = False
    choosing: Rows | None = None


def linear_probe(bench: Bench) -> Iterator[Result]:
    """Logistic regressions on frozen representations."""
    train = bench.data.rows("train")
    probes = (
        Probe("linear probe", train, 0.912),
        Probe("linear probe, multi-class, class against class", train, 0.903, kind=MULTI_CLASS),
        Probe("linear probe on mean and deviation", train, deviation=True),
    )
    frozen = bench.frozen()
    return (read_off(bench, frozen, probe) for probe in probes)


def low_shot(bench: Bench) -> Iterator[Result]:
    """The linear probe from 1 % and 10 % of the patients, three draws each."""
    frozen = bench.frozen()
    for share, published in PUBLISHED_BY_SHARE.items():
        for seed in SEEDS:
            rows = bench.data.some_rows("train", share, seed)
            yield read_off(bench, frozen, Probe(f"{share:.0%} of patients, draw {seed}", rows, published))


def fine_tune(bench: Bench) -> Iterator[Result]:
    """All layers, every superclass on its own."""
    yield _tuned(bench, "fine-tuned", MULTI_LABEL, 0.931)


def multi_class(bench: Bench) -> Iterator[Result]:
    """All layers, one superclass out of five by softmax and cross-entropy, on records with exactly one."""
    yield _tuned(bench, "fine-tuned, multi-class", MULTI_CLASS, 0.934)


PROTOCOLS: dict[str, Callable[[Bench], Iterator[Result]]] = {
    "linear-probe": linear_probe,
    "low-shot": low_shot,
    "finetune": fine_tune,
    "multi-class": multi_class,
}


def read_off(bench: Bench, frozen: Representations, probe: Probe) -> Result:
    """The figure of a linear probe; the penalty is the one that does best on val."""
    objective = OBJECTIVES[probe.kind]
    choosing = bench.data.rows("val") if probe.choosing is None else probe.choosing
    every = (probe.rows, choosing, bench.data.rows("test"))
    (train, taught), (val, chosen), (test, wanted) = (bench.usable(objective, rows) for rows in every)
    columns = None if probe.deviation else bench.config.model.dim
    known, held, new = (frozen.of(rows)[:, :columns] for rows in (train, val, test))
    scale = StandardScaler().fit(known)
    fit = _softmax_regression if probe.kind == MULTI_CLASS else _regressions
    scorers = [fit(scale.transform(known), taught, penalty) for penalty in PENALTIES]
    once = np.ones((1, len(chosen)))
    best = max(scorers, key=lambda scorer: float(_macro(scorer(scale.transform(held)), chosen, once)[0]))
    area = _by_pairs if probe.kind == MULTI_CLASS else _macro  # as the authors' code scores each
    draws = bench.measure(best(scale.transform(new)), wanted, test, area)
    return Result(probe.name, len(train), draws, probe.published)


def _regressions(features: Floats, labels: Labels, penalty: float) -> Scorer:
    """A logistic regression for every class; one that has a single label in training says nothing."""
    models = [
        LogisticRegression(C=penalty, max_iter=500).fit(features, column) if len(np.unique(column)) > 1 else None
        for column in labels.T
    ]
    return lambda new: np.column_stack(
        [np.zeros(len(new)) if model is None else model.decision_function(new) for model in models]
    )


def _softmax_regression(features: Floats, labels: Labels, penalty: float) -> Scorer:
    """One regression over all classes by cross-entropy; a class without records stays at zero."""
    model = LogisticRegression(C=penalty, max_iter=500).fit(features, labels.argmax(axis=1))

    def scores(new: Floats) -> Floats:
        said = np.zeros((len(new), labels.shape[1]))
        said[:, model.classes_] = model.predict_proba(new)
        return said

    return scores


def _tuned(bench: Bench, name: str, kind: Protocol, published: float) -> Result:
    config = replace(bench.config, finetune=replace(bench.config.finetune, protocol=kind))
    out = bench.out / f"finetune-{kind}"
    finetune.run(config, bench.data.folder, out, device=bench.device, start=bench.start)
    return tuned_result(bench, name, out, published)


def tuned_result(bench: Bench, name: str, run_folder: Path, published: float | None = None) -> Result:
    """The best network of a fine-tuning run on the test split."""
    trained = read_trained(run_folder / finetune.NETWORK)
    objective = OBJECTIVES[trained.config.finetune.protocol]
    device = resolve_device(bench.device)
    test, wanted = bench.usable(objective, bench.data.rows("test"))
    network = trained.network(factorised=True).to(device)
    logits = finetune.predict_records(network, WindowStore(bench.data.windows, device), bench.data, test)
    columns = [trained.keys.index(key) if key in trained.keys else None for key in KEYS]
    known = objective.scores(logits[:, [one for one in columns if one is not None]])
    labels = wanted[:, [at for at, one in enumerate(columns) if one is not None]]
    taught = len(bench.data.some_rows("train", trained.config.finetune.share, trained.config.finetune.share_seed))
    return Result(name, taught, bench.measure(known, labels, test), published)


def _by_pairs(scores: Floats, labels: Labels, weights: Draws) -> Draws:
    return auroc_of_pairs(scores.astype(np.float64), labels.argmax(axis=1), weights)


def _macro(scores: Floats, labels: Labels, weights: Draws) -> Draws:
    columns = [auroc(score.astype(np.float64), label, weights) for score, label in zip(scores.T, labels.T, strict=True)]
    return macro(np.stack(columns, axis=-1))
