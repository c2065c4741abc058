"""A prepared folder and a configuration in which a study takes a second."""

import json
from pathlib import Path

import numpy as np

from training.config import Config, FinetuneConfig, ModelConfig, PretrainConfig
from training.data.dataset import INDEX, INDEX_COLUMNS, LABELS, META, WINDOWS

CONFIG = Config(
    model=ModelConfig(dim=16, depth=1, heads=2, predictor_dim=16, predictor_depth=1, predictor_heads=2, detail=False),
    pretrain=PretrainConfig(epochs=1, batch_size=16, crop_patches=10),
    finetune=FinetuneConfig(epochs=1, batch_size=16, crop_patches=10, min_positives=5),
)
COUNT = 120


def write_prepared(folder: Path, *, patients: bool = False, source: str = "x") -> Path:
    """Records of two windows each, the second class louder than the first; with `patients`, of two records each."""
    random = np.random.default_rng(0)
    loud = np.arange(COUNT) % 2
    scale = (0.1 + 0.3 * loud).repeat(2)[:, None, None]
    np.save(folder / WINDOWS, (random.normal(size=(2 * COUNT, 8, 2500)) * scale).astype(np.float16))
    np.save(folder / LABELS, np.stack([1 - loud, loud], axis=1).astype(np.int8))
    rows = [
        f"{row},x,{('train', 'train', 'val', 'test')[row // 2 % 4]},{f'p{row // 2}' if patients else ''},"
        f"50,male,250,I,{2 * row},2,{row:x},"
        for row in range(COUNT)
    ]
    (folder / INDEX).write_text("\n".join([",".join(INDEX_COLUMNS), *rows]) + "\n")
    (folder / META).write_text(json.dumps({"keys": ["NORM", "MI"], "source": source, "data_sha256": "0"}))
    return folder
