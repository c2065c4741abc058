"""A bundle's variant on onnxruntime: which graph runs where, and that it runs where it was asked to."""

import logging
from dataclasses import dataclass, replace

import numpy as np
import onnxruntime as ort

from model.bundle import Bundle, read_variant
from model.engine.bound import BoundSession, Values
from model.engine.contract import Array, Outputs
from model.engine.devices import PROVIDERS, Card, Providers, has_card, load_libraries, providers_of
from model.errors import EngineError

_log = logging.getLogger(__name__)


class OnnxEngine:
    """A bundle's variant on onnxruntime.

    On a CPU any batch runs as it comes, in its caller's thread: one session serves all threads, which measured no
    slower than a session for each. On a card a batch is padded to a bucket, and all buckets are warm before this
    returns.

    Args:
        bundle: a verified bundle.
        variant: one of its variants; None picks fp16 on a card and the fastest fp32 on a CPU.
        device: `auto`, `cpu`, `cuda` or `tensorrt`; what is asked for is given or refused.
        threads: intra-op threads of the session.
        card: how a card is used.

    Raises:
        EngineError: the device is not there, or the bundle has no such variant.
        BundleError: a file of the variant is not the one that the manifest names.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        variant: str | None = None,
        device: str = "auto",
        threads: int = 1,
        card: Card | None = None,
    ) -> None:
        if device != "auto" and device not in PROVIDERS:
            raise EngineError(f"unknown device {device}; one of auto, {', '.join(PROVIDERS)}")
        wish = _Wish(bundle, variant, threads, _own_engines(card or Card(), bundle))
        self._runner, self._variant, self._device = _open(wish, device)

    @property
    def variant(self) -> str:
        """Name of the graph that runs."""
        return self._variant

    @property
    def device(self) -> str:
        """`cpu`, `cuda` or `tensorrt`."""
        return self._device

    def run(self, windows: Array) -> Outputs:
        """Outputs for float32 (window, lead, sample).

        Raises:
            EngineError: onnxruntime refused the batch.
        """
        try:
            values = self._runner.run(windows)
        except Exception as error:
            raise EngineError(f"inference failed: {type(error).__name__}") from error
        logits, embedding = (values.pop(name).astype(np.float32, copy=False) for name in ("logits", "embedding"))
        return Outputs(logits, embedding, values)


class _FreeSession:
    """A session that runs any batch in its caller's thread, and allocates as it goes."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._names = [output.name for output in session.get_outputs()]

    def run(self, windows: Array) -> Values:
        return dict(zip(self._names, self._session.run(self._names, {"ecg": windows}), strict=True))


@dataclass(frozen=True)
class _Wish:
    """What is to run, wherever it runs."""

    bundle: Bundle
    variant: str | None
    threads: int
    card: Card


def _own_engines(card: Card, bundle: Bundle) -> Card:
    """A folder for each bundle: TensorRT knows engines by their graph, and would serve the weights of another."""
    return replace(card, engines=card.engines / bundle.sha256) if card.engines else card


Opened = tuple[_FreeSession | BoundSession, str, str]
"""What runs, its variant and its device."""


def _open(wish: _Wish, device: str) -> Opened:
    """`auto` takes a card that works, else the CPU; a device that was named is given or refused."""
    if device != "auto":
        return _open_on(wish, device)
    if not has_card():
        return _open_on(wish, "cpu")
    try:
        return _open_on(wish, "cuda")
    except EngineError as error:
        _log.warning("a card is there and cannot be used, the CPU serves: %s", error.detail)
        return _open_on(wish, "cpu")


def _open_on(wish: _Wish, device: str) -> Opened:
    name = wish.variant or _default_variant(wish.bundle, device)
    if name not in wish.bundle.manifest.variants:
        raise EngineError(f"the bundle has no variant {name}")
    if device == "cpu":
        return _FreeSession(_session(wish, name, device, recorded=False)), name, device
    load_libraries()
    bound = _bind_recorded(wish, name) if device == "cuda" else _bind(wish, name, device, recorded=False)
    return bound, name, device


def _bind_recorded(wish: _Wish, name: str) -> BoundSession:
    """With CUDA graphs, or without where the graph cannot be recorded."""
    try:
        return _bind(wish, name, "cuda", recorded=True)
    except EngineError as error:
        bound = _bind(wish, name, "cuda", recorded=False)
        _log.warning("%s runs without CUDA graphs: %s", name, error.detail)
        return bound


def _bind(wish: _Wish, name: str, device: str, *, recorded: bool) -> BoundSession:
    session = _session(wish, name, device, recorded=recorded)
    try:
        return BoundSession(session, largest=wish.card.largest, device=device)
    except Exception as error:
        raise EngineError(f"{name} does not run on {device}: {type(error).__name__}") from error


def _session(wish: _Wish, name: str, device: str, *, recorded: bool) -> ort.InferenceSession:
    """The session over the bytes that were verified, so that nothing done to the files later can reach it."""
    variant, spec = wish.bundle.manifest.variants[name], wish.bundle.manifest.spec
    files = read_variant(wish.bundle, name)
    graph = files.pop(variant.file)
    options = ort.SessionOptions()
    options.intra_op_num_threads = wish.threads
    options.inter_op_num_threads = 1
    options.add_external_initializers_from_files_in_memory(
        list(files), list(files.values()), [len(content) for content in files.values()]
    )
    window = (len(spec.leads), spec.samples)
    providers = providers_of(device, wish.card, window, half=variant.precision == "fp16", recorded=recorded)
    try:
        if device == "tensorrt" and wish.card.engines:
            wish.card.engines.mkdir(parents=True, exist_ok=True)
        # Its own fallback would retry without the device, at load and whenever a run fails, and print so.
        session = ort.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    except Exception as error:
        raise EngineError(f"{name} cannot be loaded: {type(error).__name__}") from error
    _require_provider(session, device, providers)
    return session


def _require_provider(session: ort.InferenceSession, device: str, wanted: Providers) -> None:
    """Refuse the CPU in a card's place: onnxruntime falls back in silence when a provider's libraries are missing."""
    given = session.get_providers()
    if wanted[0][0] not in given:
        raise EngineError(f"asked for {device} and onnxruntime gave {', '.join(given)}")


def _default_variant(bundle: Bundle, device: str) -> str:
    preferred = ("masked-fp16", "masked-fp32") if device != "cpu" else ("factorised-fp32", "masked-fp32")
    return next(name for name in preferred if name in bundle.manifest.variants)
