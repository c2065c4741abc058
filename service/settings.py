"""What the service can be told, each setting read once from the environment under the prefix ECG_."""

import os
import resource
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

import model
from service.errors import SettingsError

PREFIX = "ECG_"
OTHER_NAMES = frozenset({"ECG_DATA", "ECG_URL", "ECG_API_KEY"})
"""Names that are not the service's and do not trouble it: the tests' real records, and what `ecg read` sends to."""

MEBIBYTE = 1024 * 1024
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
TOKEN_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""Asymmetric ones: under HS256 whoever can read the public key could sign, and `none` is no signature."""

ECGS_A_CORE = 32
"""That are let in: of the network that ships a core answers them in 1.7 s, so that a rush is soon over."""

CONNECTIONS = 2000
"""At once where nobody says how many: of 64 KiB each that nobody has read yet, so 125 MiB of them at most."""

OWN_DESCRIPTORS = 128
"""File descriptors of the process alone, files and probes and what has been accepted and not been let go yet."""

PROCESS_DESCRIPTORS = 3
"""That each process beside this one takes here: its socket, and two pipes by which its end is known."""

IN_PLAIN_WORDS = "i-accept-unauthenticated-access"

Count = Annotated[int, Field(ge=0)]
Port = Annotated[int, Field(ge=0, le=65535)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def usable_cores() -> int:
    """Cores that this process may use, by its affinity and its container's quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(affinity, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return affinity


def names_in(listed: str) -> tuple[str, ...]:
    """The names in a comma list."""
    return tuple(name.strip() for name in listed.split(",") if name.strip())


def is_protected(address: str) -> bool:
    """Whether nobody between can change what is said at an address: https, or this very machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


class Settings(BaseSettings):
    """The settings of one service; read once, never changed."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", use_attribute_docstrings=True, env_ignore_empty=True
    )

    bundle: Path | None = None
    """Folder of the bundle to serve; without it, the one that ships with the package."""

    shadow_bundle: Path | None = None
    """Folder of a second bundle that is scored beside the one that answers, for the metrics alone."""

    shadow_share: Share = 0.1
    """Share of the ECGs that the second bundle is scored on, while no other waits."""

    device: Literal["auto", "cpu", "cuda", "tensorrt"] = "auto"
    """Where the model runs; a device that was asked for by name and is not there stops the service."""

    variant: str | None = None
    """Variant of the bundle; without it, the fastest fp32 one on a CPU, fp16 on a card."""

    engine_cache: Path | None = None
    """Folder where TensorRT keeps what it compiles of each bundle in minutes; without it, it does so at every start."""

    host: str = "127.0.0.1"
    """Address to listen on; anything but loopback needs API keys, tokens, client certificates, or ECG_INSECURE."""

    port: Port = 8000
    """Port to listen on; 0 takes a free one."""

    workers: Count = 0
    """Batches that run at once, one thread each; 0 takes one for each usable core on a CPU and one on a card."""

    readers: Count | None = None
    """Processes that decode and write answers; without it, one for each 4 cores on a CPU, all cores but 2 on a card."""

    wave_workers: Count = 0
    """Processes that delineate waves; 0 takes one for each usable core."""

    wave_timeout_s: Positive = 20.0
    """Longest delineation of one ECG before its process is replaced and its waves are absent with a reason."""

    batch_windows: Count = 0
    """Most 10-s windows in one batch; 0 takes 1 on a CPU, where batching gains nothing, and 32 on a card."""

    batch_wait_ms: NotNegative = 0.0
    """How long a batch waits for company; 0 batches only what is waiting already."""

    queue_ecgs: Count = 0
    """Most ECGs in the service at once, read, waiting or being answered, further ones get a 503; 0 takes 32 a core."""

    queue_mib: Positive = 512.0
    """Most MiB of bodies in the service at once, batches three quarters of it; further ones get a 503."""

    queue_age_s: Positive = 10.0
    """A single ECG that would wait longer for the model than this, or has, is refused with a 503."""

    engine_timeout_s: Positive = 60.0
    """Longest run of one batch on the model before its ECGs get a 503; with none that runs, readiness goes off."""

    connections: Count = 0
    """Most connections at once, then those go that are owed no answer; 0 takes 2000, or what file descriptors allow."""

    caller_ecgs: Count = 0
    """Most ECGs of one caller in the service at once, further ones get a 429; 0 leaves it to the share of each."""

    caller_rate: NotNegative = 0.0
    """Most ECGs of one caller a minute, further ones get a 429 and those of a batch wait; 0 takes any number."""

    trusted_proxies: str = ""
    """Comma list of addresses or networks of proxies whose X-Forwarded-For tells callers without a key apart."""

    body_mib: Positive = 32.0
    """Largest body of one ECG."""

    batch_mib: Positive = 256.0
    """Largest body of many ECGs; each ECG in it keeps to the bounds of one."""

    body_timeout_s: Positive = 30.0
    """Longest time the head of a request, and the body of one ECG, may take to arrive; many have longer, by size."""

    answer_timeout_s: Positive = 30.0
    """Longest time in which a client takes nothing of an answer that is ready before its connection is cut off."""

    duration_s: Positive = 300.0
    """Longest recording."""

    drain_s: NotNegative = 30.0
    """After a stop signal, the longest that accepted requests are waited for."""

    unready_s: NotNegative = 2.0
    """After SIGTERM, how long requests are still accepted while readiness is off, for a balancer to notice."""

    api_keys: Path | None = None
    """File of API keys: one JSON object a line with `id`, `sha256` of the key, `scopes` and optionally `expires`."""

    oidc_issuer: str = ""
    """URL of an OpenID Connect provider whose bearer tokens (JWT) let in, beside API keys or in their place."""

    oidc_audience: str = ""
    """What a token's `aud` must hold: the name under which the provider knows this service."""

    oidc_algorithms: str = "RS256,ES256"
    """Comma list of the signatures that a token may bear; asymmetric ones alone."""

    oidc_scope_prefix: str = "ecg."
    """What stands before `read`, `metrics` and `admin` in a token's `scope`, `scp` or `roles`."""

    tls_cert: Path | None = None
    """PEM file of the certificate, and those between it and its CA, to speak TLS with; needs ECG_TLS_KEY."""

    tls_key: Path | None = None
    """PEM file of its private key, without a password."""

    tls_client_ca: Path | None = None
    """PEM file of the CAs of clients: every connection needs a certificate that one of them signed."""

    tls_client_scopes: str = "read"
    """Comma list of what a client certificate is good for, where neither keys nor tokens are asked for besides."""

    insecure: str = ""
    """The words `i-accept-unauthenticated-access` let the service listen beyond loopback without authentication."""

    audit: Path | None = None
    """File to which a line is appended for every answer and refusal; without it there is no audit."""

    resend_mib: NotNegative = 64.0
    """MiB of answers that are kept for a resend under the same Idempotency-Key, for a day at most; 0 keeps none."""

    traces: Literal["auto", "on", "off"] = "auto"
    """Spans by OpenTelemetry, which the extra otel brings; auto sends them where OTEL_EXPORTER_OTLP_ENDPOINT is set."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe line that is logged."""

    log_format: Literal["json", "text"] = "json"
    """Lines for machines, or for people."""

    @model_validator(mode="after")
    def _require_authentication(self) -> Self:
        asked = self.api_keys or self.oidc_issuer or self.tls_client_ca
        if self.host in LOOPBACK or asked or self.insecure == IN_PLAIN_WORDS:
            return self
        raise ValueError(
            "listening beyond loopback needs ECG_API_KEYS, ECG_OIDC_ISSUER or ECG_TLS_CLIENT_CA,"
            f" or ECG_INSECURE={IN_PLAIN_WORDS} in a closed network"
        )

    @model_validator(mode="after")
    def _require_whole_tls(self) -> Self:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("ECG_TLS_CERT and ECG_TLS_KEY are set together or not at all")
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError("ECG_TLS_CLIENT_CA needs ECG_TLS_CERT and ECG_TLS_KEY")
        if not {"read", "metrics", "admin"}.issuperset(names_in(self.tls_client_scopes)):
            raise ValueError("ECG_TLS_CLIENT_SCOPES must be some of read, metrics, admin")
        return self

    @model_validator(mode="after")
    def _require_whole_oidc(self) -> Self:
        if bool(self.oidc_issuer) != bool(self.oidc_audience):
            raise ValueError("ECG_OIDC_ISSUER and ECG_OIDC_AUDIENCE are set together or not at all")
        if self.oidc_issuer and not is_protected(self.oidc_issuer):
            raise ValueError("ECG_OIDC_ISSUER must be an https URL; http is for loopback alone")
        if not self.token_algorithms or not TOKEN_ALGORITHMS.issuperset(self.token_algorithms):
            raise ValueError(f"ECG_OIDC_ALGORITHMS must be some of {', '.join(sorted(TOKEN_ALGORITHMS))}")
        return self

    @model_validator(mode="after")
    def _require_addresses(self) -> Self:
        for proxy in names_in(self.trusted_proxies):
            try:
                ip_network(proxy)
            except ValueError:
                raise ValueError(f"ECG_TRUSTED_PROXIES: {proxy} is no address and no network") from None
        return self

    @property
    def token_algorithms(self) -> tuple[str, ...]:
        """The signatures that a token may bear."""
        return names_in(self.oidc_algorithms)

    @property
    def most_ecgs(self) -> int:
        """ECGs in the service at once, as many as were set or as this machine's cores soon answer."""
        return self.queue_ecgs or ECGS_A_CORE * usable_cores()

    @property
    def most_connections(self) -> int:
        """Connections at once, as many as were set or as the file descriptors of this process allow."""
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        fit = CONNECTIONS if allowed < 0 else (allowed - self.own_descriptors) // self.descriptors_each
        return self.connections or max(1, min(CONNECTIONS, fit))

    @property
    def own_descriptors(self) -> int:
        """File descriptors that are not for connections: during a reload each process that reads is there twice."""
        cores = usable_cores()
        readers = cores if self.readers is None else self.readers
        return OWN_DESCRIPTORS + PROCESS_DESCRIPTORS * 2 * (readers + (self.wave_workers or cores))

    @property
    def descriptors_each(self) -> int:
        """File descriptors for each connection that there may be: with TLS as many handshakes may be under way."""
        return 2 if self.tls_cert else 1

    @property
    def batch_timeout_s(self) -> float:
        """Longest that the body of many ECGs may take to arrive: as much longer as it may be larger."""
        return self.body_timeout_s * max(1.0, self.batch_mib / self.body_mib)

    @property
    def body_bytes(self) -> int:
        """Largest body in bytes."""
        return int(self.body_mib * MEBIBYTE)

    @property
    def batch_bytes(self) -> int:
        """Largest body of many ECGs in bytes."""
        return int(self.batch_mib * MEBIBYTE)


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process.

    Args:
        environment: what to look for misspelt names in; the process's own environment without it.

    Raises:
        SettingsError: an unknown ECG_* name or a value that is refused, in one line.
    """
    names = os.environ if environment is None else environment
    known = {PREFIX + name.upper() for name in Settings.model_fields} | OTHER_NAMES
    if unknown := sorted(name for name in names if name.upper().startswith(PREFIX) and name.upper() not in known):
        meant = "".join(
            f"; did you mean {near}?" for name in unknown for near in get_close_matches(name.upper(), known, 1)
        )
        raise SettingsError(f"unknown setting {', '.join(unknown)}{meant}; known are {', '.join(sorted(known))}")
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(_said(one["loc"], one["msg"]) for one in error.errors())) from None


def default_bundle() -> Path:
    """The bundle that ships: the only folder with a manifest in `model/bundles`, or the one called `default` there.

    Raises:
        SettingsError: none ships, or several and none is called `default`.
    """
    folder = Path(next(iter(model.__path__))) / "bundles"
    found = sorted(path.parent for path in folder.glob("*/manifest.json"))
    named = [path for path in found if path.name == "default"] or found
    if len(named) != 1:
        raise SettingsError(f"found {len(found)} bundles in {folder}; name one with ECG_BUNDLE")
    return named[0]


def _said(loc: tuple[int | str, ...], message: str) -> str:
    name = PREFIX + str(loc[0]).upper() + ": " if loc else ""
    return name + message.removeprefix("Value error, ")
