"""What the OpenAPI pages say that FastAPI cannot see: bodies that are read raw, problems, and examples that work."""

import json
from http import HTTPStatus
from typing import Any

from service import examples
from service.parts import EVERY_PART
from service.schemas import AnswerBody, ProblemBody

TITLE = "ECG-JEPA service"
DESCRIPTION = """Reads a 12-lead ECG: diagnostic statements with calibrated probabilities, intervals, axes and waves.

Decision support, to be read by a clinician. Nothing is guessed: a rate, unit or lead that is missing is a refusal, and
a number that could not be measured is absent with a reason. Every refusal is `application/problem+json` with a stable
`code`. 429 and 503 say in `Retry-After` when to come again; a 503 without it (`bad_bundle`) is not worth a retry.
"""

CODES: dict[int, str] = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    408: "body_timeout",
    413: "too_large",
    415: "unknown_format",
    422: "missing_lead",
    429: "too_many_requests",
    500: "internal",
    503: "overloaded",
}
"""A code that stands for each status in the examples."""

_LEADS = {
    "oneOf": [
        {
            "type": "object",
            "title": "Lists",
            "additionalProperties": {"type": "array", "items": {"type": "number"}},
            "description": "Lead name to samples in `unit`.",
        },
        {
            "type": "object",
            "title": "Base64",
            "additionalProperties": {"type": "string", "contentEncoding": "base64"},
            "description": "Lead name to base64 of little-endian int16 counts, `gain` counts to the unit.",
        },
    ]
}

_JSON_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["sampling_hz", "unit", "leads"],
    "properties": {
        "sampling_hz": {"type": "number", "minimum": 100, "maximum": 2000, "description": "Samples a second."},
        "unit": {
            "type": "string",
            "enum": ["mV", "uV", "V"],
            "description": "Amplitude unit of the samples, in any case.",
        },
        "gain": {"type": "number", "exclusiveMinimum": 0, "description": "Counts to the unit; with base64 alone."},
        "leads": _LEADS,
    },
}

_MULTIPART_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["files"],
    "properties": {
        "files": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "description": "Every file of one WFDB record (.hea with .dat or .mat), or one .zip of them.",
        }
    },
}


def _parameter(name: str, description: str, schema: dict[str, Any], example: str | None = None) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "in": "query", "description": description, "schema": schema}
    return parameter | ({} if example is None else {"examples": {"raw": {"value": example}}})


def query_names(operation: dict[str, Any]) -> frozenset[str]:
    """What the query of an operation may say."""
    return frozenset(one["name"] for one in operation["parameters"] if one["in"] == "query")


def _raw_parameters() -> list[dict[str, Any]]:
    """The parameters of an octet-stream; other bodies ignore them."""
    only = "For application/octet-stream: "
    words: dict[str, tuple[str, dict[str, Any]]] = {
        "sampling_hz": ("samples a second.", {"type": "number", "minimum": 100, "maximum": 2000}),
        "dtype": ("type of the samples, little-endian.", {"type": "string", "enum": ["int16", "float32"]}),
        "order": (
            "all samples of a lead before those of the next, or all leads of a sample before the next sample.",
            {"type": "string", "enum": ["lead-major", "sample-major"]},
        ),
        "leads": ("comma list of names, in the order of the samples.", {"type": "string"}),
        "unit": ("amplitude unit of the samples, in any case.", {"type": "string", "enum": ["mV", "uV", "V"]}),
        "gain": ("counts to the unit, with int16.", {"type": "number", "exclusiveMinimum": 0}),
    }
    query = examples.raw_query()
    return [_parameter(name, only + said, schema, query[name]) for name, (said, schema) in words.items()]


IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Of a request that may be sent again: the same key and body get the same answer, line by line.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}

_PART = "|".join(EVERY_PART)

ECG_BODY: dict[str, Any] = {
    "parameters": [
        _parameter(
            "include",
            f"Comma list of {', '.join(EVERY_PART)}; findings, measurements and waves if absent.",
            {"type": "string", "default": "findings,measurements,waves", "pattern": f"^({_PART})(,({_PART}))*$"},
        ),
        _parameter(
            "second_opinion",
            "Warn where a classical method measures QRS over 20 ms or QT over 40 ms otherwise; takes a second or so.",
            {"type": "boolean", "default": False},
        ),
        _parameter(
            "priority",
            "Urgent ECGs are answered before routine ones, and those before the ECGs of a batch.",
            {"type": "string", "enum": ["stat", "routine"], "default": "routine"},
        ),
        *_raw_parameters(),
        IDEMPOTENCY_KEY,
    ],
    "requestBody": {
        "required": True,
        "description": "One ECG in one of four forms.",
        "content": {
            "application/json": {
                "schema": _JSON_SCHEMA,
                "examples": {
                    "base64": {"summary": "Base64 of int16", "value": examples.json_base64()},
                    "lists": {"summary": "Lists of numbers", "value": examples.json_lists()},
                },
            },
            "multipart/form-data": {"schema": _MULTIPART_SCHEMA},
            "application/zip": {
                "schema": {"type": "string", "format": "binary", "description": "A .zip of one WFDB record."}
            },
            "application/octet-stream": {
                "schema": {
                    "type": "string",
                    "format": "binary",
                    "description": "Samples one after another, described by the query.",
                }
            },
        },
    },
}

BATCH_BODY: dict[str, Any] = {
    "parameters": [*ECG_BODY["parameters"][:2], IDEMPOTENCY_KEY],
    "requestBody": {
        "required": True,
        "description": "Many ECGs in one of two forms.",
        "content": {
            "application/x-ndjson": {
                "schema": {"type": "string", "description": "The JSON body of one ECG a line."},
                "examples": {"two": {"value": f"{json.dumps(examples.json_base64())}\n" * 2}},
            },
            "application/zip": {
                "schema": {"type": "string", "format": "binary", "description": "WFDB records and JSON files."}
            },
        },
    },
}

SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a provider's token."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
}

PROBLEM = {"$ref": f"#/components/schemas/{ProblemBody.__name__}"}

OPEN: dict[str, Any] = {"security": []}
"""Of a route that asks for no key."""


def completed(described: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI description with what no route says itself: the form of a problem, and how to present a key."""
    given = described["components"]
    schemas = {**given["schemas"], ProblemBody.__name__: ProblemBody.model_json_schema()}
    components = {**given, "schemas": schemas, "securitySchemes": SECURITY_SCHEMES}
    return {**described, "components": components, "security": [{name: []} for name in SECURITY_SCHEMES]}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals that a route can give, for its documentation."""
    return {status: _problem(HTTPStatus(status)) for status in statuses}


def _problem(status: HTTPStatus) -> dict[str, Any]:
    request_id = "0d5f6c1e-8a57-4a55-9d7b-0c1f0b7a2d11"
    example = {
        "type": f"urn:ecg:problem:{CODES[status]}",
        "title": status.phrase,
        "status": int(status),
        "detail": "what was got and what was wanted",
        "instance": f"urn:uuid:{request_id}",
        "code": CODES[status],
        "request_id": request_id,
    }
    answer: dict[str, Any] = {
        "description": status.phrase,
        "content": {"application/problem+json": {"schema": PROBLEM, "example": example}},
    }
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        seconds = {
            "description": "Seconds to wait before the request is sent again.",
            "schema": {"type": "integer", "minimum": 1},
        }
        answer["headers"] = {"Retry-After": seconds}
    return answer


REPLAYED = {
    "description": "Sent where this is the answer to an earlier request with the same Idempotency-Key.",
    "schema": {"type": "string", "enum": ["true"]},
}

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": AnswerBody,
        "description": "The answer; parts that were not asked for are left out.",
        "content": {"application/json": {"example": examples.answer()}},
        "headers": {"Idempotency-Replayed": REPLAYED},
    },
    **problems(400, 401, 403, 408, 413, 415, 422, 429, 500, 503),
}

TEXT: dict[int | str, dict[str, Any]] = {
    200: {"description": "Text.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}

_LINE = {
    "type": "object",
    "required": ["index"],
    "properties": {
        "index": {"type": "integer", "description": "Place of the ECG in the body, from 0."},
        "answer": {"$ref": "#/components/schemas/AnswerBody"},
        "problem": PROBLEM,
    },
}

LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A line for each ECG, in order: an answer or a problem.",
        "content": {"application/x-ndjson": {"schema": _LINE}},
    },
    **problems(400, 401, 403, 408, 413, 415, 422, 429, 500, 503),
}
