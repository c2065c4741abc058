"""Whether a bundle on its engine answers as it should, proved before anybody is answered by it."""

import logging

import numpy as np
import numpy.typing as npt

from model.bundle import REFERENCE_VARIANT, Bundle, read_self_test
from model.engine import Engine, OnnxEngine, Outputs, buckets_of
from model.errors import BundleError

_log = logging.getLogger(__name__)

WORST_DIFFERENCE = {"fp32": 1e-3, "fp16": 0.1, "int8": 1.0}
"""Largest difference of a logit from the reference variant, or from torch, that each precision is let off with."""

SAME_FRAMES = 0.98
"""Share of the frames of the wave head that must say the same as torch, give or take one step."""

BATCH_DIFFERENCE = {"fp32": 1e-4, "fp16": 0.05, "int8": 1e-4}
"""Largest difference of a logit between a window's answer alone and in a batch."""


def require_sound(engine: Engine, bundle: Bundle, *, largest: int) -> None:
    """Run every bucket up to the largest batch, which also warms them.

    Args:
        engine: runs the bundle.
        bundle: says what is to come out.
        largest: most windows of one batch.

    Raises:
        BundleError: outputs of another shape, not finite, or that depend on the batch.
    """
    windows = _probe(bundle, largest)
    alone = np.concatenate([_logits(engine.run(windows[row : row + 1]), bundle, 1) for row in range(min(largest, 4))])
    worst = BATCH_DIFFERENCE[_precision(engine, bundle)]
    for size in buckets_of(largest):
        together = _logits(engine.run(windows[:size]), bundle, size)
        rows = min(size, len(alone))
        if np.abs(together[:rows] - alone[:rows]).max() > worst:
            raise BundleError(f"{engine.variant} answers a window otherwise in a batch of {size}")


def require_numerics(engine: Engine, bundle: Bundle) -> None:
    """Hold the engine to the bundle's self-test; without one, to the reference variant on the CPU, and say so.

    Raises:
        BundleError: it answers otherwise than where the bundle was made, or than its reference.
    """
    if bundle.manifest.self_test is None:
        _log.warning("the bundle has no self-test; its variant is held against %s alone", REFERENCE_VARIANT)
        require_parity(engine, bundle)
    else:
        require_self_test(engine, bundle)


def require_self_test(engine: Engine, bundle: Bundle) -> None:
    """Run the windows that came with the bundle; raises BundleError where the answers are not torch's."""
    arrays = read_self_test(bundle)
    windows = arrays["windows"]
    outputs = engine.run(windows)
    difference = _largest(_logits(outputs, bundle, len(windows)), arrays["logits"])
    if not difference <= WORST_DIFFERENCE[_precision(engine, bundle)]:
        raise BundleError(f"{engine.variant} is {difference:.2g} from the self-test in a logit")
    for name, values in outputs.waves.items():
        if name in arrays and not _agreement(values, arrays[name]) >= SAME_FRAMES:
            raise BundleError(f"{engine.variant} fails the self-test in {name}")


def require_parity(engine: Engine, bundle: Bundle) -> None:
    """Hold a variant against the reference on the CPU; raises BundleError where they differ beyond the precision."""
    if engine.variant == REFERENCE_VARIANT and engine.device == "cpu":
        return
    windows = _probe(bundle, 2)
    reference = OnnxEngine(bundle, variant=REFERENCE_VARIANT, device="cpu")
    answers = [_logits(one.run(windows), bundle, len(windows)) for one in (engine, reference)]
    difference = _largest(*answers)
    if not difference <= WORST_DIFFERENCE[_precision(engine, bundle)]:
        raise BundleError(f"{engine.variant} differs from {REFERENCE_VARIANT} by {difference:.2g}")


def _precision(engine: Engine, bundle: Bundle) -> str:
    return bundle.manifest.variants[engine.variant].precision


def _largest(got: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32]) -> float:
    """Largest difference; infinite between arrays of different shapes."""
    return float(np.abs(got - wanted).max()) if got.shape == wanted.shape else np.inf


def _agreement(got: npt.NDArray[np.generic], wanted: npt.NDArray[np.generic]) -> float:
    """Share of whole numbers that are one step apart at most; none between arrays of different shapes."""
    if got.shape != wanted.shape:
        return 0.0
    return float((np.abs(got.astype(np.int16) - wanted.astype(np.int16)) <= 1).mean())


def _probe(bundle: Bundle, count: int) -> npt.NDArray[np.float32]:
    """Windows (window, lead, sample) of seeded noise and spikes, of the amplitude of an ECG."""
    spec = bundle.manifest.spec
    random = np.random.default_rng(11)
    windows = random.normal(0, 0.05, (count, len(spec.leads), spec.samples))
    windows[:, :, :: spec.sampling_hz] += random.normal(0, 1, (count, len(spec.leads), 1))
    return windows.astype(np.float32)


def _logits(outputs: Outputs, bundle: Bundle, rows: int) -> npt.NDArray[np.float32]:
    wanted = (rows, len(bundle.statements))
    if outputs.logits.shape != wanted:
        raise BundleError(f"the model answers logits of shape {outputs.logits.shape}, wanted {wanted}")
    if not np.isfinite(outputs.logits).all():
        raise BundleError("the model answers numbers that are not finite")
    return outputs.logits
