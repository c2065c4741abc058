"""Health, metrics and the model card."""

import re

import httpx
from prometheus_client.parser import text_string_to_metric_families

from service.schemas import ModelCardBody
from tests.service import bodies
from tests.service.stubs import KEYS


def test_alive_and_ready(client: httpx.Client) -> None:
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").json() == {"status": "ready"}


def test_the_model_card_says_what_answers(client: httpx.Client) -> None:
    card = ModelCardBody.model_validate_json(client.get("/v1/model").content)
    assert (card.name, card.version, card.variant, card.device) == ("stub", "1", "masked-fp32", "cpu")
    assert [one.key for one in card.statements] == list(KEYS)
    assert all(0 < one.threshold < 1 for one in card.statements)
    assert card.input.sampling_hz == 250
    assert card.licences
    assert card.citations
    answer = client.post("/v1/ecgs", **bodies.raw()).json()
    assert answer["model"]["sha256"] == card.sha256


EXPORTED = {
    "ecg_requests": {"route", "method", "status"},
    "ecg_request_seconds": {"route"},
    "ecg_stage_seconds": {"stage"},
    "ecg_queue_depth": {"priority"},
    "ecg_queue_age_seconds": {"priority"},
    "ecg_batch_size": set(),
    "ecg_refusals": {"code"},
    "ecg_findings": {"key"},
    "ecg_quality": {"verdict"},
    "ecg_model_info": {"name", "version", "sha256", "variant", "device"},
    "ecg_ready": set(),
}


def test_the_metrics_have_the_names_and_labels_that_dashboards_ask_for(client: httpx.Client) -> None:
    client.post("/v1/ecgs", **bodies.raw())
    client.post("/v1/ecgs", content=b"x")
    families = {family.name: family for family in text_string_to_metric_families(client.get("/metrics").text)}
    for name, labels in EXPORTED.items():
        samples = families[name].samples
        assert samples, name
        assert {label for one in samples for label in one.labels if label != "le"} == labels, name
        assert not any(one.name.endswith("_created") for one in samples), name
    stages = {one.labels["stage"] for one in families["ecg_stage_seconds"].samples}
    assert stages == {"decode", "preprocess", "queue", "inference", "postprocess"}
    assert families["ecg_ready"].samples[0].value == 1


def test_histogram_edges_sit_on_the_objectives(client: httpx.Client) -> None:
    client.post("/v1/ecgs", **bodies.raw())
    text = client.get("/metrics").text
    edges = re.findall(r'ecg_request_seconds_bucket\{.*le="([^"]+)".*route="/v1/ecgs"', text)
    ms = [round(float(edge) * 1000, 3) for edge in edges[:-1]]
    assert ms == [1, 2.5, 5, 10, 15, 20, 30, 50, 75, 100, 150, 250, 500, 1000, 2500, 5000, 10000]


def test_every_stage_of_an_answer_is_timed_once(client: httpx.Client) -> None:
    def counts() -> dict[str, float]:
        text = client.get("/metrics").text
        found = re.findall(r'ecg_stage_seconds_count\{stage="(\w+)"\} ([\d.]+)', text)
        return {stage: float(count) for stage, count in found}

    before = counts()
    client.post("/v1/ecgs", **bodies.raw())
    assert {stage: count - before[stage] for stage, count in counts().items()} == dict.fromkeys(before, 1.0)
