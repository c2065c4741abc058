"""A bundle: the manifest and ONNX variants that training writes and the service reads, verified by hash."""

import hashlib
import io
import json
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from model.errors import BundleError
from model.reading.findings import Calibration
from model.reading.statements import Statement
from model.signal.spec import InputSpec

SCHEMA = 1
MANIFEST = "manifest.json"
REFERENCE_VARIANT = "masked-fp32"


@dataclass(frozen=True)
class Variant:
    """One ONNX graph of the bundle.

    Attributes:
        file: name of the graph inside the bundle.
        sha256: every file the graph needs (itself and its external data), name to hash.
        precision: fp32, fp16 or int8.
        attention: masked or factorised.
        parity: largest absolute difference of a logit from torch on real records; None if not measured.
        metrics: this variant's own figures, such as its difference in AUROC from the reference.
    """

    file: str
    sha256: dict[str, str]
    precision: str
    attention: str
    parity: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """One statement the network answers, with its calibration."""

    statement: Statement
    calibration: Calibration


@dataclass(frozen=True)
class SelfTest:
    """The file with simulated windows and what torch answered to them where the bundle was made."""

    file: str
    sha256: str


@dataclass(frozen=True)
class WaveGraph:
    """The wave head as a graph of its own, for recordings of any leads; the service does without it."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Everything that is known of a bundle besides its weights."""

    name: str
    version: str
    spec: InputSpec
    spec_sha256: str
    outputs: tuple[Output, ...]
    thresholds_version: str
    variants: dict[str, Variant]
    wave_leads: tuple[str, ...] = ()
    wave_graph: WaveGraph | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    code_commit: str = ""
    licences: tuple[str, ...] = ()
    citations: tuple[str, ...] = ()
    self_test: SelfTest | None = None
    schema: int = SCHEMA


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk.

    Attributes:
        folder: where it lies.
        manifest: as it was read.
        sha256: identity of the bundle: the hash of the manifest that was read, which holds the hashes of every file.
    """

    folder: Path
    manifest: Manifest
    sha256: str = ""

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Statements in output order."""
        return tuple(output.statement for output in self.manifest.outputs)

    @property
    def calibrations(self) -> tuple[Calibration, ...]:
        """Calibrations in output order."""
        return tuple(output.calibration for output in self.manifest.outputs)


def read_bundle(folder: Path) -> Bundle:
    """Read and verify a bundle.

    Raises:
        BundleError: no manifest, another schema, a file that is missing or whose hash differs.
    """
    content = _read_content(folder / MANIFEST)
    manifest = _parse_manifest(content)
    if manifest.spec.sha256() != manifest.spec_sha256:
        raise BundleError("the input specification does not match its hash")
    if REFERENCE_VARIANT not in manifest.variants:
        raise BundleError(f"the bundle has no {REFERENCE_VARIANT} variant")
    for variant in manifest.variants.values():
        for name, wanted in variant.sha256.items():
            _require_hash(folder, name, wanted)
    for single in (manifest.self_test, manifest.wave_graph):
        if single:
            _require_hash(folder, single.file, single.sha256)
    return Bundle(folder, manifest, hashlib.sha256(content).hexdigest())


def read_variant(bundle: Bundle, name: str) -> dict[str, bytes]:
    """Every file of a variant by name, read once and verified: what is run is what was hashed.

    Raises:
        BundleError: a file that is missing or whose hash differs.
    """
    wanted = bundle.manifest.variants[name].sha256
    return {file: _verified(bundle.folder, file, sha256) for file, sha256 in wanted.items()}


def read_wave_graph(bundle: Bundle) -> bytes:
    """The graph for any leads.

    Raises:
        BundleError: the bundle has none, or its file is missing or altered.
    """
    graph = bundle.manifest.wave_graph
    if graph is None:
        raise BundleError("the bundle has no graph for any leads")
    return _verified(bundle.folder, graph.file, graph.sha256)


def read_self_test(bundle: Bundle) -> dict[str, npt.NDArray[Any]]:
    """The arrays of the self-test: `windows` float32 (window, lead, sample), and an array for each output of the graph.

    Raises:
        BundleError: the bundle has none, or its file is missing, altered or unreadable.
    """
    test = bundle.manifest.self_test
    if test is None:
        raise BundleError("the bundle has no self-test")
    try:
        with np.load(io.BytesIO(_verified(bundle.folder, test.file, test.sha256)), allow_pickle=False) as archive:
            arrays = dict(archive)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BundleError(f"{test.file} cannot be read: {type(error).__name__}") from None
    if not {"windows", "logits"} <= arrays.keys():
        raise BundleError(f"{test.file} lacks windows or logits")
    return arrays | {"windows": arrays["windows"].astype(np.float32)}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest beside the graphs it names, whole or not at all."""
    beside = folder / (MANIFEST + ".part")
    beside.write_text(json.dumps(asdict(manifest), indent=2) + "\n")
    beside.replace(folder / MANIFEST)


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BundleError(f"no {MANIFEST} in the bundle's folder") from None
    except OSError as error:
        raise BundleError(f"{MANIFEST} cannot be read: {type(error).__name__}") from None


def _parse_manifest(content: bytes) -> Manifest:
    try:
        raw = json.loads(content)
    except ValueError as error:
        raise BundleError(f"{MANIFEST} cannot be read: {type(error).__name__}") from None
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise BundleError(f"{MANIFEST} is not of schema {SCHEMA}")
    try:
        return TypeAdapter(Manifest).validate_python(raw)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise BundleError(f"{MANIFEST} is wrong at {where}") from None


def _verified(folder: Path, name: str, wanted: str) -> bytes:
    """A file of the bundle, read once."""
    try:
        content = (folder / name).read_bytes()
    except OSError:
        raise _missing(name) from None
    _require_same(name, hashlib.sha256(content).hexdigest(), wanted)
    return content


def _require_hash(folder: Path, name: str, wanted: str) -> None:
    if Path(name).name != name:
        raise BundleError("a file of the bundle has a path in its name")
    try:
        found = file_sha256(folder / name)
    except OSError:
        raise _missing(name) from None
    _require_same(name, found, wanted)


def _missing(name: str) -> BundleError:
    return BundleError(f"{name} is named by the manifest and not in the bundle")


def _require_same(name: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise BundleError(f"{name} does not match the hash in the manifest")
