"""The drawing is valid SVG at the scale of ECG paper, and says nothing but names of leads."""

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from model.reading.plot import plot_svg
from model.reading.waves import Waves
from model.signal.leads import STANDARD_LEADS
from model.signal.recording import Recording
from tests.model.synthetic import beat_waves, beats, r_peaks_ms

SVG = "{http://www.w3.org/2000/svg}"


def drawn(recording: Recording, waves: Waves) -> ET.Element:
    return ET.fromstring(plot_svg(recording, waves))  # noqa: S314 - our own text


def traces(root: ET.Element) -> list[list[tuple[float, float]]]:
    paths = [path.attrib["d"] for path in root.iter(f"{SVG}path") if path.attrib["class"] == "trace"]
    return [[(int(x) / 100, int(y) / 100) for x, y in re.findall(r"(-?\d+) (-?\d+)", path)] for path in paths]


def test_twelve_leads_come_as_a_cart_prints_them_with_a_rhythm_strip() -> None:
    root = drawn(beats(), beat_waves(r_peaks_ms()))
    names = [text.text for text in root.iter(f"{SVG}text")]
    assert names == [
        *["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"],
        "II",
        "25 mm/s, 10 mm/mV",
    ]


def test_the_scale_is_25_mm_a_second_and_10_mm_a_millivolt() -> None:
    signal_mv = np.zeros((1, 5000), np.float32)
    signal_mv[0, 2500:2750] = 1.0
    (trace,) = traces(drawn(Recording(signal_mv, 500, ("II",)), {}))
    heights = [y for _, y in trace]
    assert max(heights) - min(heights) == pytest.approx(10.0)
    high = [x for x, y in trace if y == min(heights)]
    assert max(high) - min(high) == pytest.approx(12.5, abs=0.2)


def test_a_wave_is_shaded_from_its_onset_to_its_offset() -> None:
    root = drawn(Recording(beats().signal_mv[1:2], 500, ("II",)), {"II": beat_waves(np.array([1000.0]))["II"]})
    marks = [(one.attrib["x"], one.attrib["width"], one[0].text) for one in root.iter(f"{SVG}rect") if len(one)]
    assert [kind for _, _, kind in marks] == ["P", "QRS", "T"]
    assert float(marks[1][1]) == pytest.approx(0.095 * 25, abs=0.01)
    assert float(marks[1][0]) == pytest.approx(5 + 0.955 * 25, abs=0.01)


@pytest.mark.parametrize("count", [1, 2, 11])
def test_other_sets_of_leads_are_drawn_a_row_each(count: int) -> None:
    plain = beats()
    some = Recording(plain.signal_mv[12 - count :], 500, STANDARD_LEADS[12 - count :])
    assert len(traces(drawn(some, {}))) >= count


def test_a_name_that_is_no_standard_lead_is_not_written() -> None:
    picture = plot_svg(Recording(np.zeros((1, 1000), np.float32), 500, ("John <Doe> & Co",)), {})
    assert "Doe" not in picture
    assert ET.fromstring(picture) is not None  # noqa: S314 - our own text


def test_a_short_recording_and_a_huge_amplitude_stay_on_the_paper() -> None:
    recording = beats(duration_s=5.0)
    recording.signal_mv[0] *= 1e4
    root = drawn(recording, {})
    height = float(root.attrib["viewBox"].split()[3])
    assert all(0 <= y <= height for trace in traces(root) for _, y in trace)


def test_a_long_recording_shows_its_first_ten_seconds() -> None:
    root = drawn(beats(duration_s=60.0), {})
    width = float(root.attrib["viewBox"].split()[2])
    assert all(0 <= x <= width for trace in traces(root) for x, _ in trace)
