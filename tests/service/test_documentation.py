"""The documentation says what is true: its examples are sent, its types hold, its pages need no other host."""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import httpx
import pytest

from model.reading.measurements import ABSENT, MEASUREMENTS
from model.signal.quality import Code
from service import examples
from service.documentation import CODES
from service.schemas import AnswerBody


@pytest.fixture(scope="module")
def api(client: httpx.Client) -> dict[str, Any]:
    described: dict[str, Any] = client.get("/openapi.json").json()
    return described


def read_ecg(api: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = api["paths"]["/v1/ecgs"]["post"]
    return operation


def test_every_json_example_is_answered(client: httpx.Client, api: dict[str, Any]) -> None:
    described = read_ecg(api)["requestBody"]["content"]["application/json"]["examples"]
    assert set(described) == {"base64", "lists"}
    for example in described.values():
        assert client.post("/v1/ecgs", json=example["value"]).status_code == 200


def test_the_example_query_of_raw_samples_is_answered(client: httpx.Client, api: dict[str, Any]) -> None:
    parameters = [one for one in read_ecg(api)["parameters"] if "examples" in one]
    query = {one["name"]: one["examples"]["raw"]["value"] for one in parameters}
    assert query == examples.raw_query()
    headers = {"content-type": "application/octet-stream"}
    assert client.post("/v1/ecgs", content=examples.raw_int16(), params=query, headers=headers).status_code == 200


def test_every_kind_of_body_is_described(api: dict[str, Any]) -> None:
    content = read_ecg(api)["requestBody"]["content"]
    kinds = {"application/json", "multipart/form-data", "application/zip", "application/octet-stream"}
    assert set(content) == kinds
    assert all(one["schema"] for one in content.values())


def test_the_example_answer_is_an_answer() -> None:
    AnswerBody.model_validate(examples.answer())


def test_every_refusal_is_described_as_a_problem(api: dict[str, Any]) -> None:
    answers = read_ecg(api)["responses"]
    assert {int(status) for status in answers} == {200, *CODES}
    for status, answer in answers.items():
        if status != "200":
            assert set(answer["content"]) == {"application/problem+json"}
            assert answer["content"]["application/problem+json"]["example"]["status"] == int(status)
    assert "Retry-After" in answers["503"]["headers"]


def references(described: object) -> Iterator[str]:
    if isinstance(described, dict):
        yield from (described["$ref"],) if "$ref" in described else ()
        described = list(described.values())
    if isinstance(described, list):
        for inner in described:
            yield from references(inner)


def test_every_form_that_is_referred_to_is_there(api: dict[str, Any]) -> None:
    forms = {f"#/components/schemas/{name}" for name in api["components"]["schemas"]}
    assert "#/components/schemas/ProblemBody" in set(references(api)) <= forms


def test_what_stands_in_an_answer_is_named(api: dict[str, Any]) -> None:
    forms = api["components"]["schemas"]
    described = forms["AnswerBody"]["properties"]["measurements"]["description"]
    assert [name for name in MEASUREMENTS if name not in described] == []
    assert forms["IssueBody"]["properties"]["code"]["enum"] == list(get_args(Code))
    assert forms["MeasurementBody"]["properties"]["absent"]["anyOf"][0]["enum"] == list(ABSENT)


def test_the_answer_to_many_is_lines_and_nothing_else(api: dict[str, Any]) -> None:
    answered = api["paths"]["/v1/ecgs/batch"]["post"]["responses"]["200"]
    assert set(answered["content"]) == {"application/x-ndjson"}


def test_the_page_asks_for_a_key(api: dict[str, Any]) -> None:
    assert set(api["components"]["securitySchemes"]) == {"bearer", "header"}
    assert api["security"]


def test_only_health_is_asked_for_without_a_key(api: dict[str, Any]) -> None:
    without = {path for path, methods in api["paths"].items() for one in methods.values() if one.get("security") == []}
    assert without == {"/health/live", "/health/ready"}


def test_the_example_of_many_is_answered(client: httpx.Client, api: dict[str, Any]) -> None:
    operation = api["paths"]["/v1/ecgs/batch"]["post"]
    example = operation["requestBody"]["content"]["application/x-ndjson"]["examples"]["two"]["value"]
    answer = client.post("/v1/ecgs/batch", content=example, headers={"content-type": "application/x-ndjson"})
    assert [set(json.loads(line)) for line in answer.text.splitlines()] == [{"index", "answer"}] * 2


def test_the_page_needs_no_other_host(client: httpx.Client) -> None:
    page = client.get("/docs").text
    linked = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page)
    assert linked
    for link in linked:
        assert link.startswith("/")
        assert client.get(link).status_code == 200
    assert "https://" not in page


def test_the_simulated_ecg_is_the_same_each_time() -> None:
    assert examples.raw_int16() == examples.raw_int16()
    assert len(examples.raw_int16()) == 2 * 8 * 500
