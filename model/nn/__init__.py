"""What computes, in torch: the ECG-JEPA encoder and predictor, Cross-Pattern Attention, and the heads."""
