"""When what lets callers in comes to its end, for the metrics."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Literal

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Expiring = Literal["api_keys", "tls_cert", "tls_client_ca"]

End = Callable[[], datetime | None]
"""Says when something ends, with a time zone; None where it has no end."""


class Expiry(Collector):
    """The ends of what a service was given; what has none has no series, so that no alert waits for it."""

    def __init__(self) -> None:
        self._ends: dict[Expiring, End] = {}

    def watch(self, part: Expiring, end: End) -> None:
        """Ask a part whenever the metrics are read."""
        self._ends[part] = end

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One gauge, a series for each part that has an end."""
        family = GaugeMetricFamily(
            "ecg_expiry_timestamp_seconds",
            "When the first of the API keys that are good, or of the certificates of a file, ends.",
            labels=("part",),
        )
        for part, end in self._ends.items():
            if at := end():
                family.add_metric((part,), at.timestamp())
        yield family
