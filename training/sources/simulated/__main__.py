"""`python -m training.sources.simulated FOLDER` writes the examples of this repository."""

import sys
from pathlib import Path

from training.sources.simulated.files import write_examples

if __name__ == "__main__":
    write_examples(Path(sys.argv[1]))
