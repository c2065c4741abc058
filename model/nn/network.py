"""The whole network as it is served: encoder, diagnosis head and, where there is one, wave head in one graph."""

from torch import Tensor, nn

from model.nn.config import EncoderConfig
from model.nn.diagnosis import DiagnosisHead
from model.nn.encoder import Encoder
from model.nn.waves import WAVE_OUTPUTS, TwelveLeadHead

DIAGNOSIS_OUTPUTS = ("logits", "embedding")


class EcgNetwork(nn.Module):
    """Windows to logits and embedding."""

    def __init__(self, config: EncoderConfig, statements: int, *, detail: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.head = DiagnosisHead(config, statements, detail=detail, dropout=dropout)

    def forward(self, windows: Tensor, start: int = 0) -> tuple[Tensor, Tensor]:
        """Logits (B, C) and embedding (B, E) of windows (B, L, S); `start` is the first patch's position of a crop."""
        tokens = self.encoder(windows, None, start)
        output: tuple[Tensor, Tensor] = self.head(tokens, windows)
        return output


class DetailAlone(nn.Module):
    """A diagnosis head whose detail path answers without the encoder's tokens.

    Args:
        head: the `DiagnosisHead` of a network.
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, C) and embedding (B, E), the tokens' part of it zero, of windows (B, L, S)."""
        output: tuple[Tensor, Tensor] = self.head(None, windows)
        return output


class ServedNetwork(nn.Module):
    """What is exported: a trained network with, optionally, the wave head on the same tokens.

    Args:
        network: encoder and diagnosis head.
        waves: the wave head; without it the graph has no wave outputs.
    """

    def __init__(self, network: EcgNetwork, waves: TwelveLeadHead | None = None) -> None:
        super().__init__()
        self.encoder = network.encoder
        self.head = network.head
        self.waves = waves

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of what `forward` returns."""
        return DIAGNOSIS_OUTPUTS + (WAVE_OUTPUTS if self.waves is not None else ())

    def forward(self, ecg: Tensor) -> tuple[Tensor, ...]:
        """Logits, embedding and the wave head's outputs of windows (B, L, S) in mV."""
        tokens = self.encoder(ecg)
        diagnosis: tuple[Tensor, Tensor] = self.head(tokens, ecg)
        return diagnosis if self.waves is None else (*diagnosis, *self.waves(ecg, tokens))
