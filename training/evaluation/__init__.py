"""Figures of a bundle from its ONNX file, its calibration, and their tables and plots."""
