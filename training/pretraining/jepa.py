"""Joint-embedding prediction: a context encoder, a target encoder that follows it, and the predictor between them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.nn.config import EncoderConfig, PredictorConfig
from model.nn.encoder import Encoder
from model.nn.predictor import Predictor


class Jepa(nn.Module):
    """Predicts the target encoder's view of hidden patches from the context encoder's view of the visible ones.

    Args:
        encoder: sizes of both encoders.
        predictor: sizes of the predictor.
        drop_path: stochastic depth of all three, the target among them as in the authors' code.
    """

    def __init__(self, encoder: EncoderConfig, predictor: PredictorConfig, drop_path: float = 0.0) -> None:
        super().__init__()
        self.encoder = Encoder(encoder, drop_path)
        self.predictor = Predictor(predictor, encoder, drop_path)
        self.target_encoder = Encoder(encoder, drop_path).requires_grad_(False)
        self.target_encoder.load_state_dict(self.encoder.state_dict())

    def forward(self, windows: Tensor, visible: Tensor, hidden: Tensor, start: int = 0) -> tuple[Tensor, Tensor]:
        """Predicted and target representations of the hidden patches.

        Args:
            windows: (B, L, S), mV.
            visible: (V,) time patches that the context encoder sees.
            hidden: (M,) time patches to predict.
            start: the position of the first patch, for crops.

        Returns:
            Two (B, L, M, D); the target is layer-normed over D and carries no gradient.
        """
        context = self.encoder(windows, visible, start)
        predicted = self.predictor(context, visible + start, hidden + start)
        with torch.no_grad():
            target = self.target_encoder(windows, None, start)
            target = F.layer_norm(target, target.shape[-1:])
            target = target.reshape(*windows.shape[:2], -1, target.shape[-1])[:, :, hidden]  # (B, L, M, D)
        return predicted, target

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """Move the target encoder towards the context encoder; the loop calls this after each optimiser step."""
        target, online = (tuple(one.parameters()) for one in (self.target_encoder, self.encoder))
        torch._foreach_lerp_(target, online, 1.0 - momentum)  # one kernel where a loop would be a hundred


def jepa_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Smooth L1 between predicted and target representations, as published."""
    return F.smooth_l1_loss(predicted, target)
