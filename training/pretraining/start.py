"""Random weights as the authors' code begins with; ours, which are larger, stand with the network in `model.nn`."""

import math

import torch
from torch import nn

from training.pretraining.jepa import Jepa

STD = 0.02


@torch.no_grad()
def start_as_published(jepa: Jepa) -> None:
    """Matrices from truncated normals, the last one of each branch smaller by the depth; the target like the encoder.

    Source: the code beside arXiv 2410.08559. On few ECGs this start lets representations collapse: see the report.
    """
    for part in (jepa.encoder, jepa.predictor):
        for layer in part.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=STD)
        for number, block in enumerate(part.blocks, start=1):
            for last in (block.get_submodule("attn.proj"), block.get_submodule("mlp.fc2")):
                last.get_parameter("weight").div_(math.sqrt(2.0 * number))
    jepa.target_encoder.load_state_dict(jepa.encoder.state_dict())
