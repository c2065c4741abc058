"""Runs a bundle's network: the Engine protocol and its onnxruntime implementation."""

from model.engine.bound import buckets_of
from model.engine.contract import Engine, Outputs
from model.engine.devices import Card
from model.engine.lead_engine import LeadEngine
from model.engine.onnx_engine import OnnxEngine

__all__ = ["Card", "Engine", "LeadEngine", "OnnxEngine", "Outputs", "buckets_of"]
