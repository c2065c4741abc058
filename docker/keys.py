"""Makes what docker-compose.yml mounts as secrets: keys for a first caller and for Prometheus, Grafana's password."""

import secrets
import sys
from pathlib import Path

from service.security import new_key


def make_keys(folder: Path) -> str:
    """Write the secrets into a new folder; returns the first caller's key, which is stored nowhere.

    The folder is its owner's alone. The files are not: the containers that read them run as users of their own.

    Raises:
        FileExistsError: there are secrets already.
    """
    folder.mkdir(mode=0o700)
    caller, caller_line = new_key("first-caller", frozenset({"read"}))
    prometheus, prometheus_line = new_key("prometheus", frozenset({"metrics"}))
    (folder / "api_keys.jsonl").write_text(f"{caller_line}\n{prometheus_line}\n")
    (folder / "metrics_key").write_text(prometheus)
    (folder / "grafana_password").write_text(secrets.token_urlsafe(16))
    return caller


def main() -> int:
    """`make keys`."""
    folder = Path(__file__).parent / "secrets"
    try:
        caller = make_keys(folder)
    except FileExistsError:
        sys.stderr.write(f"{folder} exists; remove it to make new keys for everybody\n")
        return 1
    sys.stdout.write(
        f"The first caller's key, stored nowhere:\n  {caller}\n"
        f"Grafana's password for admin: {folder / 'grafana_password'}\n"
        f"Further callers: .venv-serve/bin/ecg key NAME, and its line into {folder / 'api_keys.jsonl'}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
