"""A device is given, refused or, under `auto`, replaced by the CPU; a batch is padded without anybody noticing."""

import io
import shutil
import sys
import threading
import time
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest

from model.bundle import Bundle, read_bundle
from model.engine import Card, OnnxEngine, buckets_of, devices, onnx_engine
from model.engine.bound import BoundSession
from model.errors import BundleError, EngineError
from service.settings import default_bundle
from tests.training.toy_bundle import write_toy_bundle

Array = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(default_bundle())


@pytest.fixture
def toy(tmp_path: Path) -> Bundle:
    return read_bundle(write_toy_bundle(tmp_path / "toy"))


def windows_of(count: int) -> Array:
    return np.random.default_rng(count).normal(0, 0.3, (count, 8, 2500)).astype(np.float32)


def test_auto_serves_on_the_cpu_where_a_card_cannot_be_used(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_engine, "has_card", lambda: True)
    monkeypatch.setitem(devices.PROVIDERS, "cuda", "NoSuchProvider")
    opened = OnnxEngine(bundle)
    assert opened.device == "cpu"
    assert np.isfinite(opened.run(np.zeros((1, 8, 2500), np.float32)).logits).all()


def test_a_device_that_was_asked_for_is_given_or_refused(toy: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(devices.PROVIDERS, "cuda", "NoSuchProvider")
    with pytest.raises(EngineError):
        OnnxEngine(toy, device="cuda")
    with pytest.raises(EngineError, match="unknown device"):
        OnnxEngine(toy, device="abacus")
    with pytest.raises(EngineError, match="no variant"):
        OnnxEngine(toy, device="cpu", variant="masked-fp4")


def test_a_fall_back_in_silence_is_refused(toy: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime without CUDA's libraries makes a session on the CPU and says nothing."""
    real = ort.InferenceSession

    def falls_back(graph: bytes, options: ort.SessionOptions, **rest: object) -> ort.InferenceSession:
        assert rest["enable_fallback"] == 0
        return real(graph, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(ort, "InferenceSession", falls_back)
    for device in ("cuda", "tensorrt"):
        with pytest.raises(EngineError, match=f"asked for {device} and onnxruntime gave CPU"):
            OnnxEngine(toy, device=device)


def test_the_switches_of_a_card() -> None:
    window = (8, 2500)
    assert devices.providers_of("cpu", Card(), window, half=False, recorded=False) == [("CPUExecutionProvider", {})]
    ((name, cuda),) = devices.providers_of("cuda", Card(), window, half=True, recorded=True)
    assert (name, cuda["enable_cuda_graph"], cuda["use_tf32"]) == ("CUDAExecutionProvider", "1", "0")
    card = Card(largest=64, engines=Path("engines"))
    (name, rt), (second, cuda) = devices.providers_of("tensorrt", card, window, half=True, recorded=False)
    assert (name, second) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert rt["trt_profile_max_shapes"] == "ecg:64x8x2500"
    assert rt["trt_engine_cache_path"] == "engines"
    assert rt["trt_fp16_enable"] == "1"
    (_, without), _ = devices.providers_of("tensorrt", Card(), window, half=False, recorded=False)
    assert "trt_engine_cache_enable" not in without


def test_a_compiled_engine_is_its_bundles_own(toy: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT names what it keeps by the graph alone: another bundle of the same form would get these weights."""
    monkeypatch.setitem(devices.PROVIDERS, "tensorrt", "NoSuchProvider")
    monkeypatch.setitem(devices.PROVIDERS, "cuda", "NoSuchProvider either")
    for one in (toy, replace(toy, sha256="other")):
        with pytest.raises(EngineError):
            OnnxEngine(one, device="tensorrt", card=Card(engines=tmp_path / "kept"))
    assert {one.name for one in (tmp_path / "kept").iterdir()} == {toy.sha256, "other"}


def test_the_libraries_of_a_card_are_looked_for_once_and_without_a_print(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def preload() -> None:
        calls.append(1)
        sys.stdout.write("Failed to load libcublas\n")

    monkeypatch.setattr(ort, "preload_dlls", preload)
    devices.load_libraries.cache_clear()
    with redirect_stdout(io.StringIO()) as said:
        devices.load_libraries()
        devices.load_libraries()
    devices.load_libraries.cache_clear()
    assert (calls, said.getvalue()) == ([1], "")


@pytest.mark.parametrize(("largest", "sizes"), [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (32, (1, 2, 4, 8, 16, 32))])
def test_buckets(largest: int, sizes: tuple[int, ...]) -> None:
    assert buckets_of(largest) == sizes


@pytest.fixture(scope="module")
def bound(bundle: Bundle) -> BoundSession:
    """What runs on a card, with its buffers in the memory of the host."""
    session = ort.InferenceSession(bundle.folder / "factorised-fp32.onnx", providers=["CPUExecutionProvider"])
    return BoundSession(session, largest=4, device="cpu")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_a_padded_batch_answers_as_each_window_alone(bundle: Bundle, bound: BoundSession, count: int) -> None:
    windows = windows_of(count)
    free = OnnxEngine(bundle, device="cpu")
    together = bound.run(windows)
    for row in range(count):
        alone = free.run(windows[row : row + 1])
        np.testing.assert_allclose(together["logits"][row], alone.logits[0], atol=1e-4)
        np.testing.assert_allclose(together["embedding"][row], alone.embedding[0], atol=1e-4)
        for name, values in alone.waves.items():
            assert (together[name][row] == values[0]).mean() > 0.999
    assert {len(values) for values in together.values()} == {count}


def test_an_answer_is_not_changed_by_the_one_after(bound: BoundSession) -> None:
    first = bound.run(windows_of(3))
    kept = {name: values.copy() for name, values in first.items()}
    bound.run(np.full((4, 8, 2500), 3.0, np.float32))
    for name, values in first.items():
        np.testing.assert_array_equal(values, kept[name])


def test_many_threads_get_their_own_rows(toy: Bundle) -> None:
    session = ort.InferenceSession(toy.folder / "toy.onnx", providers=["CPUExecutionProvider"])
    bound = BoundSession(session, largest=4, device="cpu")
    wrong: list[int] = []

    def ask(number: int) -> None:
        for count in (1, 3, 2, 4):
            logits = bound.run(np.full((count, 8, 2500), number / 10, np.float32))["logits"]
            if not np.allclose(logits, number - 1, atol=1e-4):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class Watched:
    """A session that notes of every run its graph's number, where its buffers lie, and whether another run is on."""

    busy = threading.Lock()

    def __init__(self, session: ort.InferenceSession) -> None:
        self.session = session
        self.runs: list[tuple[str, tuple[int, ...]]] = []
        self.collisions = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.session, name)

    def run_with_iobinding(self, binding: ort.IOBinding, options: ort.RunOptions) -> None:
        free = self.busy.acquire(blocking=False)
        self.collisions += not free
        time.sleep(0.002)
        self.session.run_with_iobinding(binding, options)
        addresses = tuple(one.data_ptr() for one in binding.get_outputs())
        self.runs.append((options.get_run_config_entry("gpu_graph_id"), addresses))
        if free:
            self.busy.release()


def watched(toy: Bundle) -> Watched:
    return Watched(ort.InferenceSession(toy.folder / "toy.onnx", providers=["CPUExecutionProvider"]))


def test_a_recorded_graph_finds_its_buffers_where_they_were(toy: Bundle) -> None:
    """CUDA replays addresses: a bucket has one graph and one place, at the warm-up and ever after."""
    session = watched(toy)
    bound = BoundSession(session, largest=4, device="cpu")
    warm = set(session.runs)
    assert sorted(number for number, _ in warm) == ["1", "2", "4"]
    session.runs.clear()
    for count in (1, 3, 2, 4, 7, 1):
        bound.run(windows_of(count))
    assert [number for number, _ in session.runs] == ["1", "4", "2", "4", "4", "4", "1"]
    assert set(session.runs) == warm


def test_nothing_runs_while_another_session_records(toy: Bundle) -> None:
    """A reload records beside the engine that answers, and CUDA lets no other thread copy meanwhile."""
    live, other = watched(toy), watched(toy)
    bound = BoundSession(live, largest=1, device="cpu")

    def answer() -> None:
        for _ in range(20):
            bound.run(windows_of(1))

    answering = threading.Thread(target=answer)
    answering.start()
    BoundSession(other, largest=16, device="cpu")
    answering.join(60)
    assert not answering.is_alive()
    assert live.collisions + other.collisions == 0


def test_a_card_that_records_no_graph_runs_without(toy: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's own path as far as a machine without a card can go: the provider's name is the only thing exchanged."""
    tried: list[str] = []
    real = devices.providers_of

    def of_the_cpu(device: str, *rest: object, recorded: bool, **named: object) -> devices.Providers:
        tried.append("recorded" if recorded else "plain")
        if recorded:
            return [("NoSuchProvider", {})]
        return real("cpu", Card(), (8, 2500), half=False, recorded=False)

    monkeypatch.setattr(onnx_engine, "providers_of", of_the_cpu)
    monkeypatch.setattr("model.engine.bound.memory_of", lambda _: "cpu")
    engine = OnnxEngine(toy, device="cuda", card=Card(largest=2))
    assert tried == ["recorded", "plain"]
    assert engine.run(windows_of(5)).logits.shape == (5, 8)


def test_what_runs_is_what_was_verified(tmp_path: Path) -> None:
    """Files that change under a running service change nothing; files that changed before are refused."""
    folder = tmp_path / "bundle"
    shutil.copytree(default_bundle(), folder)
    read = read_bundle(folder)
    engine, windows = OnnxEngine(read, device="cpu"), windows_of(1)
    before = engine.run(windows)
    with (folder / "weights.bin").open("r+b") as weights:
        weights.write(bytes(1_000_000))
        weights.truncate(2_000_000)
    after = engine.run(windows)
    np.testing.assert_array_equal(before.logits, after.logits)
    with pytest.raises(BundleError, match=r"weights\.bin"):
        OnnxEngine(read, device="cpu")
