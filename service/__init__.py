"""Answers ECGs over HTTP, and from the command line."""

import os

# Before numpy is loaded, for this process and those that it starts: one thread a core runs the network, and threads of
# numpy's own wait for each other on cores that are taken.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
