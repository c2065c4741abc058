"""The same simulated ECG as a request of every accepted kind."""

import io
import json
import zipfile
from typing import Any

from service import examples

Request = dict[str, Any]
"""Keyword arguments of `httpx.Client.post`."""


def lists() -> Request:
    return {"json": examples.json_lists()}


def base64() -> Request:
    return {"json": examples.json_base64()}


def wfdb() -> Request:
    return {"files": [("files", item) for item in examples.wfdb_record().items()]}


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in examples.wfdb_record().items():
            archive.writestr(name, content)
    return packed.getvalue()


def zip_part() -> Request:
    return {"files": [("files", ("record.zip", zipped()))]}


def zip_body() -> Request:
    return {"content": zipped(), "headers": {"content-type": "application/zip"}}


def raw() -> Request:
    return {
        "content": examples.raw_int16(),
        "params": examples.raw_query(),
        "headers": {"content-type": "application/octet-stream"},
    }


def json_with(**changes: object) -> Request:
    """The lists with some members changed; None takes one out."""
    body = examples.json_lists() | changes
    kept = {name: value for name, value in body.items() if value is not None}
    return {"content": json.dumps(kept), "headers": {"content-type": "application/json"}}


EVERY_KIND = {"lists": lists, "base64": base64, "wfdb": wfdb, "zip_part": zip_part, "zip_body": zip_body, "raw": raw}
