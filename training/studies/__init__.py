"""The published protocols and the ablations: what an encoder is worth, and why."""
