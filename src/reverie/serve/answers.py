"""Errors as OpenAI's API shapes them, and the clients' way of being told."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 409: "conflict_error",
         429: "rate_limit_error", 500: "server_error", 503: "server_error", 504: "server_error"}


class Wrong(Exception):
    """A request that is answered with an error. param: the field at fault; code: for programs."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None,
                 headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})


def bad(message: str, param: str | None = None, code: str = "invalid_value") -> Wrong:
    """A request that makes no sense."""
    return Wrong(400, message, param=param, code=code)


def missing(what: str, name: str) -> Wrong:
    """Something that is not there (any more), or that another key owns."""
    return Wrong(404, f"there is no {what} {name[:80]!r}", param="id", code=f"{what}_not_found")


def sound(text: str) -> str:
    """Text that can be sent: what a client wrote may hold stray surrogates."""
    return text.encode("utf-8", "replace").decode()


def error_response(status: int, message: str, *, param: str | None = None, code: str | None = None,
                   headers: Mapping[str, str] | None = None) -> JSONResponse:
    """{"error": {"message", "type", "param", "code"}}."""
    body = {"error": {"message": sound(message), "type": TYPES.get(status, "invalid_request_error"),
                      "param": param and sound(param), "code": code}}
    return JSONResponse(body, status_code=status, headers=dict(headers or {}))
