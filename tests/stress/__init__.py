"""Load on a whole service: more than it can answer, and more than anybody can tell apart by hand."""
