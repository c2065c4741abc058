"""What the service says when it refuses: the one table from domain error to status, as problem+json (RFC 9457)."""

from functools import cache
from http import HTTPStatus
from typing import ClassVar

import pydantic_core

from model.errors import (
    BundleError,
    EcgError,
    EngineError,
    MalformedError,
    TooLargeError,
    UnknownFormatError,
    UnusableError,
)

PROBLEM_JSON = "application/problem+json"

ENGINE_RETRY_S = 5
"""After a run that failed or hung: the next one may be well, and a client that keeps asking finds out soon enough."""


class MalformedHttpError(MalformedError):
    """What was sent is no request in HTTP/1.1."""

    code: ClassVar[str] = "malformed_http"


class HeadTooLargeError(EcgError):
    """A request line and headers that are longer than accepted."""

    code: ClassVar[str] = "head_too_large"


class SettingsError(EcgError):
    """A setting that is unknown or refused; the service does not start."""

    code: ClassVar[str] = "bad_setting"


class ParameterError(UnusableError):
    """A query parameter with a value that is not among those allowed."""

    code: ClassVar[str] = "bad_parameter"


class IdempotencyError(UnusableError):
    """An Idempotency-Key that was used for another request."""

    code: ClassVar[str] = "idempotency_mismatch"


class BodyTimeoutError(EcgError):
    """A body that did not arrive in time."""

    code: ClassVar[str] = "body_timeout"


class UnauthenticatedError(EcgError):
    """No API key or token, or one that is not known, not genuine or has expired."""

    code: ClassVar[str] = "unauthenticated"


class ForbiddenError(EcgError):
    """A caller that is known and lacks the scope."""

    code: ClassVar[str] = "forbidden"


class NotFoundError(EcgError):
    """A path that leads nowhere."""

    code: ClassVar[str] = "not_found"


class MethodError(EcgError):
    """A method that the path does not have.

    Args:
        detail: in words.
        allowed: the methods that it has, as a comma list.
    """

    code: ClassVar[str] = "method_not_allowed"

    def __init__(self, detail: str, allowed: str) -> None:
        super().__init__(detail)
        self.allowed = allowed


class NotReadyError(EcgError):
    """The service is starting, or stopping."""

    code: ClassVar[str] = "not_ready"


class LaterError(EcgError):
    """A request that would be answered later.

    Args:
        detail: which bound was met.
        retry_after_s: when to send it again.
    """

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Overloaded(LaterError):  # noqa: N818 - the name that the queue and its callers use
    """More work than can be answered in time."""

    code: ClassVar[str] = "overloaded"


class TooManyRequestsError(LaterError):
    """More ECGs of one caller, at once or in a minute, than one may send."""

    code: ClassVar[str] = "too_many_requests"


class IssuerUnavailableError(LaterError):
    """A token that cannot be verified, for the identity provider does not answer."""

    code: ClassVar[str] = "issuer_unavailable"


class AuditUnavailableError(LaterError):
    """The audit log cannot be written, and nothing is answered without it."""

    code: ClassVar[str] = "audit_unavailable"


# The first class that matches decides; subclasses stand before their bases.
STATUS: tuple[tuple[type[EcgError], HTTPStatus], ...] = (
    (MalformedError, HTTPStatus.BAD_REQUEST),
    (TooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (UnknownFormatError, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (UnusableError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (BodyTimeoutError, HTTPStatus.REQUEST_TIMEOUT),
    (UnauthenticatedError, HTTPStatus.UNAUTHORIZED),
    (ForbiddenError, HTTPStatus.FORBIDDEN),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (MethodError, HTTPStatus.METHOD_NOT_ALLOWED),
    (HeadTooLargeError, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (TooManyRequestsError, HTTPStatus.TOO_MANY_REQUESTS),
    (Overloaded, HTTPStatus.SERVICE_UNAVAILABLE),
    (NotReadyError, HTTPStatus.SERVICE_UNAVAILABLE),
    (IssuerUnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (AuditUnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (EngineError, HTTPStatus.SERVICE_UNAVAILABLE),
    (BundleError, HTTPStatus.SERVICE_UNAVAILABLE),
)


class InternalError(EcgError):
    """A fault of the service itself; what it was stands in the log, under the request id."""

    code: ClassVar[str] = "internal"

    def __init__(self) -> None:
        super().__init__("the service failed; the request id finds the reason in its log")


def status_of(error: EcgError) -> HTTPStatus:
    """The status that an error is answered with."""
    return _status_of(type(error))  # type: ignore[arg-type]  # mypy asks the instances for their hash


@cache
def _status_of(kind: type[EcgError]) -> HTTPStatus:
    return next((status for base, status in STATUS if issubclass(kind, base)), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem_json(error: EcgError, request_id: str) -> bytes:
    """The body of a refusal: type, title, status, detail, instance, code and request_id."""
    status = status_of(error)
    return pydantic_core.to_json(
        {
            "type": f"urn:ecg:problem:{error.code}",
            "title": status.phrase,
            "status": int(status),
            "detail": error.detail,
            "instance": f"urn:uuid:{request_id}",
            "code": error.code,
            "request_id": request_id,
        }
    )


def _retry_after_s(error: EcgError) -> int:
    """When to come again; 0 where it would be as it is now."""
    if isinstance(error, LaterError):
        return error.retry_after_s
    if isinstance(error, NotReadyError):
        return 1
    return ENGINE_RETRY_S if isinstance(error, EngineError) else 0


def problem_headers(error: EcgError) -> dict[str, str]:
    """The headers that a refusal carries besides its type."""
    if after_s := _retry_after_s(error):
        return {"retry-after": str(after_s)}
    if isinstance(error, BodyTimeoutError):
        return {"connection": "close"}  # what is still to come of the body would be taken for the next request
    if isinstance(error, MethodError):
        return {"allow": error.allowed}
    if isinstance(error, UnauthenticatedError):
        return {"www-authenticate": 'Bearer realm="ecg"'}
    return {}
