"""How much one input may hold, and the refusals when it holds more."""

import math
from dataclasses import dataclass

from model.errors import TooLargeError

MEBIBYTE = 2**20


@dataclass(frozen=True)
class Limits:
    """Caps on one input; the defaults are the service's.

    Attributes:
        body_bytes: of a body, an archive or the files of a record together.
        unpacked_bytes: of an archive's members together, once unpacked.
        members: files of a record or of an archive.
        leads: signals of a recording, those that are left out included.
        duration_s: seconds of a recording.
    """

    body_bytes: float = 32 * MEBIBYTE
    unpacked_bytes: float = 64 * MEBIBYTE
    members: int = 64
    leads: int = 16
    duration_s: float = 300.0

    def require_body(self, size: int) -> None:
        """Raise TooLargeError for a body over `body_bytes`."""
        if size > self.body_bytes:
            raise TooLargeError(f"got {size} bytes, wanted at most {self.body_bytes:.0f}")

    def require_members(self, count: int) -> None:
        """Raise TooLargeError for more files than `members`."""
        if count > self.members:
            raise TooLargeError(f"got {count} files, wanted at most {self.members}")

    def require_leads(self, count: int) -> None:
        """Raise TooLargeError for more signals than `leads`."""
        if count > self.leads:
            raise TooLargeError(f"got {count} leads, wanted at most {self.leads}")

    def require_duration(self, samples: int, sampling_hz: float) -> None:
        """Raise TooLargeError for more seconds than `duration_s`; the rate is positive."""
        if samples / sampling_hz > self.duration_s:
            got_s = samples / sampling_hz
            raise TooLargeError(f"got {got_s:.1f} s, wanted at most {self.duration_s:g} s")


SERVICE_LIMITS = Limits()
UNLIMITED = Limits(body_bytes=math.inf, unpacked_bytes=math.inf, duration_s=math.inf)
"""For files of one's own: still 16 leads and 64 files, any size and length."""
