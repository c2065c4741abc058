"""`python -m training.sources.simulated FOLDER` writes the examples of this repository."""

import argparse
from pathlib import Path

from training.sources.simulated.files import write_examples

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="training.sources.simulated", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the example files go")
    write_examples(parser.parse_args().folder)
