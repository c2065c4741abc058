"""From trained weights to a bundle: graphs, parity, precision, self-test, card and credits."""
