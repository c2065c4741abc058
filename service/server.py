"""uvicorn around the application: says where it listens, and stops in order: unready, closed, drained."""

import gc
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.connections import timed
from service.errors import SettingsError
from service.security.certificates import follow_tls
from service.serving import Serving
from service.settings import Settings, names_in
from service.telemetry import Telemetry, set_up_logs

KEEP_ALIVE_S = 75  # longer than the 60 s that balancers keep an idle connection, so that they close first
DESCRIPTORS = 65_536
"""File descriptors that are asked for; more would only slow down what goes through all of them."""

EXAMPLES = Path(__file__).parents[1] / "tests" / "data"


def run(settings: Settings) -> None:
    """Serve until a stop signal.

    Raises:
        SettingsError: no bundle is named and none ships, or the keys are wrong.
        BundleError, EngineError: the bundle does not verify, or not run on the device that was asked for.
    """
    set_up_logs(settings.log_level, settings.log_format)
    _take_descriptors(settings)
    app = create_app(settings)
    serving: Serving = app.state.serving
    serving.load()
    _Server(build_config(app, settings, serving.telemetry), serving).run()


def build_config(app: FastAPI, settings: Settings, telemetry: Telemetry) -> uvicorn.Config:
    """How uvicorn serves: no access log, which would quote query strings, and keep-alive longer than a balancer's.

    Args:
        app: what is served.
        settings: where and how.
        telemetry: is told of connections, and of what was refused before the application saw it.

    Raises:
        SettingsError: the files for TLS cannot be used.
    """
    tls = follow_tls(settings)
    if tls:
        telemetry.watch_part("tls", lambda: tls.stale)
        telemetry.expiry.watch("tls_cert", lambda: tls.content.ends.get("tls_cert"))
        telemetry.expiry.watch("tls_client_ca", lambda: tls.content.ends.get("tls_client_ca"))
    return uvicorn.Config(
        app,
        http=timed(settings, telemetry, tls),  # type: ignore[arg-type]  # called like a class
        ws="none",
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(names_in(settings.trusted_proxies)),
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
    )


class _Server(uvicorn.Server):
    """Stops in order: on SIGTERM readiness goes off, `unready_s` later connections are closed and drained.

    A person at the keyboard (SIGINT) has no balancer to wait for; a second signal of any kind waits for nothing.
    """

    def __init__(self, config: uvicorn.Config, serving: Serving) -> None:
        super().__init__(config)
        self._serving = serving
        self._signalled_s: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what is there now stays; to look through it again would stand still for a tenth of a second
        for line in _greeting(self._serving.settings, self.servers[0].sockets[0].getsockname()[1]):
            print(line, file=sys.stdout, flush=True)  # noqa: T201 - a person started this and reads it

    def _log_started_message(self, listeners: Sequence[socket.SocketType]) -> None:
        """Nothing: the greeting says it, and the server above knows of no TLS."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Runs inside a signal handler: sets flags and nothing else."""
        del frame
        if self._signalled_s is not None:
            self.force_exit = self.should_exit
            self.should_exit = True
            return
        self._signalled_s = monotonic()
        self._serving.draining = True
        self.should_exit = sig == signal.SIGINT

    async def on_tick(self, counter: int) -> bool:
        if self._signalled_s is not None and monotonic() - self._signalled_s >= self._serving.settings.unready_s:
            self.should_exit = True
        return await super().on_tick(counter)


def _take_descriptors(settings: Settings) -> None:
    """Raise the bound of file descriptors, which a shell keeps low for programs of old, as far as it may be raised.

    Raises:
        SettingsError: there are still fewer than the connections that were asked for need.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < DESCRIPTORS:
        soft = DESCRIPTORS if hard < 0 else min(DESCRIPTORS, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    needed = settings.connections * settings.descriptors_each + settings.own_descriptors
    if 0 <= soft < needed:
        raise SettingsError(f"ECG_CONNECTIONS needs {needed} file descriptors, and {soft} are allowed (ulimit -n)")


def _greeting(settings: Settings, port: int) -> list[str]:
    """Where the service listens, and what to type to see it work."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"{'https' if settings.tls_cert else 'http'}://{host}:{port}"
    lines = [f"ECG service on {url} (documentation: {url}/docs)"]
    if curl := None if settings.tls_cert else _curl(url, asked=bool(settings.api_keys or settings.oidc_issuer)):
        lines += ["Try it:", f"  {curl}"]
    return lines


def _curl(url: str, *, asked: bool) -> str | None:
    """A request with the example record of the checkout, where there is one, and with a key where one is asked for."""
    key = "-H 'Authorization: Bearer KEY' " if asked else ""
    for header in sorted(EXAMPLES.glob("*.hea")):
        samples = [header.with_suffix(suffix) for suffix in (".dat", ".mat")]
        if found := [path for path in samples if path.exists()]:
            files = " ".join(f"-F files=@{_short(path)}" for path in (header, found[0]))
            return f"curl -sS {key}{files} {url}/v1/ecgs"
    return None


def _short(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
