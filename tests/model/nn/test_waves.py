"""The wave head: any number of leads, leads that help each other, tokens or none, and what leaves the graph."""

import numpy as np
import pytest
import torch
from torch import Tensor

from model.nn.waves import (
    REACH_MS,
    AnyLeadHead,
    TwelveLeadHead,
    WaveHeadConfig,
    WaveNet,
    compact,
    folded,
    limb_mix,
    spread_tokens,
    token_mix,
)
from model.reading.delineation import OFFSET_STEP_MS
from model.signal.leads import MODEL_LEADS, STANDARD_LEADS

SMALL = WaveHeadConfig(widths=(4, 6, 8, 10))


def net_of(config: WaveHeadConfig = SMALL) -> WaveNet:
    torch.manual_seed(0)
    net = WaveNet(config)
    net.train()
    net(torch.randn(4, 3, 2500))  # running statistics other than zero and one
    return net.eval()


def ecg(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("leads", [1, 2, 12])
@pytest.mark.parametrize("samples", [1500, 2500])
def test_any_number_of_leads_gives_a_frame_every_8_ms(leads: int, samples: int) -> None:
    logits, distance = net_of()(ecg(2, leads, samples))
    assert logits.shape == (2, 4, leads, samples // 2)
    assert distance.shape == (2, 2, leads, samples // 2)


def test_the_order_of_leads_does_not_matter() -> None:
    net, windows = net_of(), ecg(1, 3, 2500)
    order = [2, 0, 1]
    torch.testing.assert_close(net(windows[:, order])[0], net(windows)[0][:, :, order], atol=1e-4, rtol=1e-4)


def test_a_lead_of_zeros_changes_nothing_for_the_others() -> None:
    net, windows = net_of(), ecg(1, 3, 2500)
    silent = torch.cat([windows, torch.zeros(1, 1, 2500)], dim=1)
    torch.testing.assert_close(net(silent)[0][:, :, :3], net(windows)[0], atol=1e-4, rtol=1e-4)


def test_an_ecg_is_answered_alike_in_any_batch() -> None:
    net, windows = net_of(), ecg(3, 2, 2500)
    torch.testing.assert_close(net(windows)[0][1:2], net(windows[1:2])[0], atol=1e-4, rtol=1e-4)


def test_folding_keeps_the_function() -> None:
    net, windows = net_of(), ecg(2, 2, 2500)
    before, after = net(windows), folded(net)(windows)
    torch.testing.assert_close(after[0], before[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(after[1], before[1], atol=1e-4, rtol=1e-4)


def test_a_folded_head_is_read_back_by_its_config() -> None:
    once = folded(net_of())
    again = WaveNet(once.config)
    again.load_state_dict(once.state_dict())


def test_tokens_are_seen_and_can_be_left_out() -> None:
    net = net_of(WaveHeadConfig(widths=(4, 6, 8, 10), token_dim=5))
    windows, tokens = ecg(1, 8, 2500), ecg(1, 400, 5)
    head = TwelveLeadHead(net)
    with_tokens, without = net(limb_mix() @ windows, spread_tokens(tokens, token_mix())), net(limb_mix() @ windows)
    assert not torch.allclose(with_tokens[0], without[0])
    assert [part.shape[1] for part in head(windows, tokens)] == [12, 12, 12]


def test_a_head_without_tokens_ignores_them() -> None:
    head, windows = TwelveLeadHead(net_of()), ecg(1, 8, 2500)
    torch.testing.assert_close(head(windows, ecg(1, 400, 5))[1], head(windows)[1])


def test_derived_leads_have_the_mean_of_the_tokens_they_come_from() -> None:
    tokens = ecg(2, 400, 3)
    by_lead = tokens.reshape(2, 8, 50, 3)
    spread = spread_tokens(tokens, token_mix()).permute(0, 2, 3, 1)
    torch.testing.assert_close(spread[:, STANDARD_LEADS.index("aVF")], by_lead[:, :2].mean(dim=1))
    torch.testing.assert_close(spread[:, STANDARD_LEADS.index("V3")], by_lead[:, MODEL_LEADS.index("V3")])


def test_what_leaves_the_graph_is_small_and_says_the_same() -> None:
    logits = torch.zeros(1, 4, 2, 5)
    logits[0, 2, 1, 3] = 9.0
    distance = torch.zeros(1, 2, 2, 5)
    distance[0, 1, 1, 3], distance[0, 0, 0, 0] = 0.5, 7.0
    label, probability, steps = compact(logits, distance)
    assert label.dtype == probability.dtype == torch.uint8
    assert steps.dtype == torch.int8
    assert label[0, 1, 3] == 2
    assert probability[0, 1, 3] == pytest.approx(255, abs=1)
    assert steps[0, 1, 1, 3] * OFFSET_STEP_MS == pytest.approx(0.5 * REACH_MS)
    assert steps[0, 0, 0, 0] == 127


def test_twelve_leads_and_any_leads_say_the_same() -> None:
    net, windows = net_of(), ecg(1, 8, 2500)
    twelve, alone = TwelveLeadHead(net)(windows), AnyLeadHead(net)(limb_mix() @ windows)
    for one, other in zip(twelve, alone, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_is_not_a_number_for_silence() -> None:
    logits, distance = net_of()(torch.zeros(1, 2, 2500))
    assert torch.isfinite(logits).all()
    assert torch.isfinite(distance).all()
