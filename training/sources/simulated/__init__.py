"""Simulated ECGs: what is true of them, and how they are written."""

from training.sources.simulated.ecg import KINDS, LABELS, Kind, SimulatedEcg, simulate
from training.sources.simulated.files import run, wfdb_record, write_examples

__all__ = ["KINDS", "LABELS", "Kind", "SimulatedEcg", "run", "simulate", "wfdb_record", "write_examples"]
