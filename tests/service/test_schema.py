"""The OpenAPI description against the service, by schemathesis: no 5xx, and every answer is one that is described."""

import copy
import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup

from service.app import create_app
from service.settings import Settings
from tests.service.stubs import StubEngine, listening, no_waves

EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "8"))
"""Requests for each operation; `make fuzz` sends many more."""

HELD_TO = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
MODES = {"positive": schemathesis.GenerationMode.POSITIVE, "negative": schemathesis.GenerationMode.NEGATIVE}
OPERATIONS = ["POST /v1/ecgs", "POST /v1/ecgs/batch", "GET /v1/model", "POST /v1/admin/reload", "GET /health/live"]
OPERATIONS += ["GET /health/ready", "GET /metrics"]
WITHOUT_INPUT = {"GET /health/live", "GET /health/ready"}  # neither parameters nor a key: nothing can be sent wrongly


@schemathesis.serializer("application/x-ndjson", "application/zip")
def as_it_is(_: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def app(settings: Settings) -> FastAPI:
    return create_app(settings, StubEngine(), no_waves)


@pytest.fixture(scope="module")
def url(app: FastAPI) -> Iterator[str]:
    with listening(app) as url:
        yield url


def test_every_operation_is_tried(app: FastAPI) -> None:
    described = app.openapi()["paths"]
    assert {f"{method.upper()} {path}" for path, methods in described.items() for method in methods} == set(OPERATIONS)


def try_it(described: dict[str, Any], url: str, operation: str, mode: str) -> set[int]:
    """Send what the description allows (positive) or forbids (negative); returns the statuses of the answers."""
    load_all_checks()
    checks = CHECKS.get_by_names(HELD_TO)
    method, path = operation.split()
    strategy = schemathesis.openapi.from_dict(described)[path][method].as_strategy(generation_mode=MODES[mode])
    statuses = set()

    @seed(1)
    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def conforms(case: Any) -> None:
        answer = case.call(base_url=url)
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=checks)

    conforms()
    return statuses


CASES = [(one, mode) for one in OPERATIONS for mode in MODES if mode == "positive" or one not in WITHOUT_INPUT]


@pytest.mark.parametrize(("operation", "mode"), CASES)
def test_what_is_answered_is_what_is_described(app: FastAPI, url: str, operation: str, mode: str) -> None:
    statuses = try_it(app.openapi(), url, operation, mode)
    assert statuses <= {200, 400, 415, 422}


def test_the_check_itself_finds_an_answer_that_is_not_described(app: FastAPI, url: str) -> None:
    described = copy.deepcopy(app.openapi())
    del described["paths"]["/v1/ecgs"]["post"]["responses"]["422"]
    with pytest.raises(FailureGroup, match="Undocumented status code"):
        try_it(described, url, "POST /v1/ecgs", "negative")


def test_the_check_itself_finds_an_answer_of_another_form(app: FastAPI, url: str) -> None:
    described = copy.deepcopy(app.openapi())
    described["components"]["schemas"]["ModelCardBody"]["properties"]["name"]["type"] = "integer"
    with pytest.raises(FailureGroup, match="schema"):
        try_it(described, url, "GET /v1/model", "positive")
