"""Whether a recording can be read: issues by lead, and a verdict."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from model.signal.leads import STANDARD_LEADS
from model.signal.recording import Recording

Verdict = Literal["good", "limited", "unusable"]

POOR = frozenset({"flat", "saturated", "noise", "disconnected_electrode"})
"""Issues that make a lead useless for measuring."""


@dataclass(frozen=True)
class Issue:
    """One thing wrong, in one lead or (lead None) in the whole recording."""

    code: str
    lead: str | None = None


@dataclass(frozen=True)
class Quality:
    """What was found, and what follows: `good`, `limited` (findings are given) or `unusable` (withheld)."""

    verdict: Verdict
    issues: tuple[Issue, ...] = ()
    dead_leads: tuple[str, ...] = ()

    @property
    def poor_leads(self) -> frozenset[str]:
        """Leads in which no wave can be trusted."""
        named = {issue.lead for issue in self.issues if issue.lead is not None and issue.code in POOR}
        return frozenset(named | set(self.dead_leads))


def check_quality(recording: Recording) -> Quality:
    """Issues of a recording, lead by lead, and what follows from them."""
    moved = np.ptp(recording.signal_mv, axis=1)
    dead = tuple(name for name, mv in zip(recording.leads, moved, strict=True) if mv < 0.005)
    issues = tuple(Issue("flat", name) for name in dead if name in STANDARD_LEADS)
    live = len(recording.leads) - len(dead)
    verdict: Verdict = "good" if not issues else ("limited" if live >= 4 else "unusable")
    return Quality(verdict, issues, dead)
