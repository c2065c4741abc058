"""`python -m service.health`: whether the service on this machine is ready, for a container's health check."""

import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from service.errors import SettingsError
from service.settings import Settings, read_settings

TIMEOUT_S = 2.0

LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on, not by whom
"""Where to ask a service that listens on every address."""


def is_ready(settings: Settings) -> bool:
    """Ask `/health/ready` where the service listens, over loopback if it can be, in the TLS that the service speaks.

    Where a client certificate is demanded the service's own is shown. If the CA for clients does not know it, nobody
    here can ask, and a service that still answers handshakes counts as ready.
    """
    connection = _connection(settings)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except ssl.SSLError:
        return settings.tls_client_ca is not None
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def main() -> int:
    """Exit status 0 when ready, 1 when not, settings that no service would start with included."""
    try:
        return int(not is_ready(read_settings()))
    except SettingsError as error:
        print(f"health: {error.detail}", file=sys.stderr)  # noqa: T201 - one line on stderr
        return 1


def _connection(settings: Settings) -> HTTPConnection:
    host = LOOPBACK_OF.get(settings.host, settings.host)
    if settings.tls_cert is None:
        return HTTPConnection(host, settings.port, timeout=TIMEOUT_S)
    context = ssl.create_default_context()
    context.check_hostname = False  # it is this very machine, whatever its certificate calls it
    context.verify_mode = ssl.CERT_NONE
    if settings.tls_client_ca:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return HTTPSConnection(host, settings.port, timeout=TIMEOUT_S, context=context)


if __name__ == "__main__":
    sys.exit(main())
