"""Statements: the encoder and its heads learn labels, some of which are unknown."""
