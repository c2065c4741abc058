"""Whether a recording can be read: issues by lead, and a verdict."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["good", "limited", "unusable"]


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
