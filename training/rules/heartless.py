"""Simulated recordings that hold no heart: noises, tones, jumps, bursts and what mixes them."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import signal as dsp

Floats = npt.NDArray[np.float64]
Draw = np.random.Generator
Family = Callable[[Draw, Floats, int], Floats]
"""From a source of chance, the times in seconds and the number of leads to (lead, sample) of about unit size."""
RATES_HZ = (100.0, 250.0, 360.0, 500.0, 1000.0)


def heartless(family: str, seed: int, *, leads: int, sampling_hz: float, duration_s: float = 10.0) -> Floats:
    """One recording, (lead, sample), mV; in a third of them all leads are one signal up to size and sign.

    Args:
        family: a key of `FAMILIES`.
        seed: of everything that is drawn.
        leads: how many.
        sampling_hz: their rate.
        duration_s: their length.
    """
    draw = np.random.default_rng([seed, list(FAMILIES).index(family)])
    times_s = np.arange(round(sampling_hz * duration_s)) / sampling_hz
    alike = draw.random() < 1 / 3
    signal = FAMILIES[family](draw, times_s, 1 if alike else leads)
    sizes = _between(draw, 0.05, 5.0) * (draw.normal(size=(leads, 1)) if draw.random() < 0.3 else np.ones((leads, 1)))
    hiss = 0.01 * draw.normal(size=(leads, len(times_s))) * (draw.random() < 0.3)
    return np.asarray(sizes * signal + hiss + draw.uniform(-3, 3) * (draw.random() < 0.2))


def _between(draw: Draw, low: float, high: float) -> float:
    """Any number between two, small ones as often as large ones."""
    return float(np.exp(draw.uniform(np.log(low), np.log(high))))


def _coloured(draw: Draw, times_s: Floats, leads: int, *, exponent: float | None = None) -> Floats:
    """Noise whose power falls with a power of the frequency: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(draw.normal(size=(leads, len(times_s))), axis=1)
    spectrum[:, 1:] /= np.arange(1, spectrum.shape[1]) ** ((draw.uniform(0, 2) if exponent is None else exponent) / 2)
    spectrum[:, 0] = 0.0
    noise = np.fft.irfft(spectrum, len(times_s), axis=1)
    return np.asarray(noise / (noise.std(axis=1, keepdims=True) + 1e-12))


def _coloured_by(exponent: float) -> Family:
    return lambda draw, times_s, leads: _coloured(draw, times_s, leads, exponent=exponent)


def _band(draw: Draw, times_s: Floats, leads: int) -> Floats:
    nyquist_hz = 0.5 / (times_s[1] - times_s[0])
    low_hz = min(_between(draw, 0.5, 20.0), 0.7 * nyquist_hz)
    high_hz = min(low_hz * _between(draw, 1.2, 8.0), 0.95 * nyquist_hz)
    filtered = dsp.butter(2, [low_hz, high_hz], "bandpass", fs=2 * nyquist_hz, output="sos")
    return np.asarray(5.0 * dsp.sosfilt(filtered, draw.normal(size=(leads, len(times_s))), axis=1))


def _clipped(draw: Draw, times_s: Floats, leads: int) -> Floats:
    level = draw.uniform(0.05, 3.0)
    return np.clip(_coloured(draw, times_s, leads), -level, level)


def _tone(shape: Callable[[Draw, Floats], Floats]) -> Family:
    def family(draw: Draw, times_s: Floats, leads: int) -> Floats:
        turns = _between(draw, 0.3, 60.0) * times_s + draw.random((leads, 1))
        return shape(draw, 2 * np.pi * turns)

    return family


def _hum(draw: Draw, times_s: Floats, leads: int) -> Floats:
    turns = draw.choice([50.0, 60.0]) * times_s + draw.random((leads, 1))
    swell = 1 + 0.3 * np.sin(2 * np.pi * _between(draw, 0.05, 2.0) * times_s)
    return np.asarray(sum(np.sin(2 * np.pi * over * turns) / over for over in (1, 2, 3)) * swell)


def _chirp(draw: Draw, times_s: Floats, leads: int) -> Floats:
    swept = dsp.chirp(times_s, _between(draw, 0.3, 5.0), times_s[-1], _between(draw, 5.0, 40.0), method="logarithmic")
    return np.asarray(swept * draw.choice([-1.0, 1.0], (leads, 1)))


def _swelling(draw: Draw, times_s: Floats, leads: int) -> Floats:
    phase = draw.random((leads, 1))
    swell = 1 + np.sin(2 * np.pi * (_between(draw, 0.2, 3.0) * times_s + phase))
    return np.asarray(np.sin(2 * np.pi * (_between(draw, 2.0, 40.0) * times_s + phase)) * swell)


def _ramp(draw: Draw, times_s: Floats, leads: int) -> Floats:
    return draw.uniform(-1, 1, (leads, 1)) * times_s


def _jumps(draw: Draw, times_s: Floats, leads: int, *, lasting_s: float = np.inf) -> Floats:
    """One to fourteen jumps, at once in all leads, that last or die away."""
    jumped = np.zeros((leads, len(times_s)))
    for at in draw.integers(0, len(times_s), draw.integers(1, 15)).tolist():
        jumped[:, at:] += draw.normal(size=(leads, 1)) * np.exp(-(times_s[at:] - times_s[at]) / lasting_s)
    return jumped


def _settling(draw: Draw, times_s: Floats, leads: int) -> Floats:
    return _jumps(draw, times_s, leads, lasting_s=_between(draw, 0.05, 3.0))


def _telegraph(draw: Draw, times_s: Floats, leads: int) -> Floats:
    flips = draw.random((leads, len(times_s))) < _between(draw, 0.5, 10.0) * times_s[1]
    return np.where(np.cumsum(flips, axis=1) % 2, 1.0, -1.0)


def _muscle(draw: Draw, times_s: Floats, leads: int) -> Floats:
    """Bursts of white noise at random times."""
    starts_s, wide_s = draw.uniform(0, times_s[-1], draw.integers(2, 20)), _between(draw, 0.03, 0.6)
    envelope = np.exp(-(((times_s - starts_s[:, None]) / wide_s) ** 2)).max(axis=0)
    return np.asarray(draw.normal(size=(leads, len(times_s))) * envelope)


def _paced_muscle(draw: Draw, times_s: Floats, leads: int) -> Floats:
    """Bursts of white noise at a heart's pace."""
    every_s, wide_s = 1 / _between(draw, 0.7, 2.5), _between(draw, 0.02, 0.1)
    away_s = (times_s + draw.uniform(0, every_s)) % every_s - every_s / 2
    return np.asarray(draw.normal(size=(leads, len(times_s))) * np.exp(-((away_s / wide_s) ** 2)))


def _crackle(draw: Draw, times_s: Floats, leads: int) -> Floats:
    """Single samples of any size at random times."""
    size = draw.normal(size=(leads, len(times_s)))
    return np.where(draw.random(size.shape) < _between(draw, 0.3, 6.0) * times_s[1], size, 0.0)


def _mixture(draw: Draw, times_s: Floats, leads: int) -> Floats:
    one, other = draw.choice([name for name in FAMILIES if name not in {"mixture", "constant"}], 2)
    return FAMILIES[one](draw, times_s, leads) + _between(draw, 0.05, 2.0) * FAMILIES[other](draw, times_s, leads)


FAMILIES: dict[str, Family] = {
    "constant": lambda draw, times_s, leads: np.repeat(draw.normal(size=(leads, 1)), len(times_s), axis=1),
    "white": _coloured_by(0.0),
    "pink": _coloured_by(1.0),
    "brown": _coloured_by(2.0),
    "band": _band,
    "clipped": _clipped,
    "faint": lambda draw, times_s, leads: _between(draw, 1e-5, 0.03) * _coloured(draw, times_s, leads),
    "quantised": lambda draw, times_s, leads: np.round(_coloured(draw, times_s, leads) * draw.uniform(0.5, 4.0)),
    "sine": _tone(lambda _, turn: np.sin(turn)),
    "square": _tone(lambda draw, turn: dsp.square(turn, duty=draw.uniform(0.25, 0.75))),
    "triangle": _tone(lambda _, turn: dsp.sawtooth(turn, 0.5)),
    "sawtooth": _tone(lambda draw, turn: dsp.sawtooth(turn, float(draw.integers(2)))),
    "tone in noise": lambda draw, times_s, leads: (
        _tone(lambda _, turn: np.sin(turn))(draw, times_s, leads)
        + _between(draw, 0.05, 1.0) * _coloured(draw, times_s, leads)
    ),
    "hum": _hum,
    "chirp": _chirp,
    "swelling": _swelling,
    "ramp": _ramp,
    "steps": _jumps,
    "settling": _settling,
    "telegraph": _telegraph,
    "muscle": _muscle,
    "paced muscle": _paced_muscle,
    "crackle": _crackle,
    "mixture": _mixture,
}
"""What no heart makes, by name."""
