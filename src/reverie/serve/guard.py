"""Who may ask, from where, how often and how much; the headers that keep a browser on our side.

One ASGI layer around everything, HTTP and WebSocket alike. It puts the tenant (whose videos these are; "" on a server
without keys) into the scope.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reverie.core.errors import BadInput
from reverie.serve.answers import error_response
from reverie.serve.settings import Settings

COOKIE = "reverie_key"
SHORTEST_KEY = 16  # characters
SAFE = ("GET", "HEAD", "OPTIONS")
OPEN = ("/v1/about", "/healthz", "/session")  # and the page, which holds nothing of anybody's
FORM_EXTRA = 64 << 10  # bytes of a form around what is uploaded
READ_AWAY, PATIENCE = 16 << 20, 2.0  # bytes, and seconds
BUCKETS = 10_000  # clients whose rates are remembered
CSP = ("default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; style-src 'self'; "
       "script-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
       "form-action 'self'")
HEADERS = {"content-security-policy": CSP, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
           "cross-origin-resource-policy": "same-origin", "cross-origin-opener-policy": "same-origin",
           "x-frame-options": "DENY"}


def read_keys(path: str | Path) -> tuple[bytes, ...]:
    """Digests of the keys in a file, one a line; # begins a comment. Raises BadInput."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read the keys in {path}: {getattr(error, 'strerror', None) or 'not text'}") from None
    keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not keys:
        raise BadInput(f"{path} holds no key: one a line, of at least {SHORTEST_KEY} characters")
    for number, key in enumerate(keys, 1):
        if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
            raise BadInput(f"{path}: key {number} must have at least {SHORTEST_KEY} ASCII characters and no space")
    return tuple(hashlib.sha256(key.encode()).digest() for key in keys)


async def _read_away(receive: Receive) -> None:
    """Read what is left of a body that nobody wants, up to READ_AWAY bytes: a client that is still sending when the
    connection closes does not see the answer."""
    left = READ_AWAY
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return


def tenant_of(key: str, keys: tuple[bytes, ...]) -> str | None:
    """Whose key this is; None when it is none. Every key is compared, each in constant time."""
    digest, found = hashlib.sha256(key.encode("utf-8", "replace")).digest(), None
    for known in keys:
        if hmac.compare_digest(digest, known):
            found = known.hex()[:32]
    return found


class Guard:
    """The layer."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.rates = Rates(settings.rate)
        self.names = {name.lower() for name in settings.hosts}
        if settings.loopback:
            self.names |= {"localhost", "127.0.0.1", "[::1]", settings.host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        send = self._with_headers(send, headers.get("origin"))
        refused = self._refused(scope, headers)
        if refused is not None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await _read_away(receive)
                await refused(scope, receive, send)
            return
        if scope["type"] == "http":
            length = headers.get("content-length", "")
            if length.isdigit() and int(length) > self._most:
                await _read_away(receive)
                await self._too_large()(scope, receive, send)
                return
            receive = self._counted(receive)
        await self.app(scope, receive, send)

    @property
    def _most(self) -> int:
        return self.settings.upload_bytes * 4 // 3 + FORM_EXTRA  # a data: URL is a third longer than what it holds

    def _refused(self, scope: Scope, headers: Headers) -> Any:
        """The answer to a request that may not pass, or None."""
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
        if self.names and name.lower() not in self.names:
            return error_response(403, f"this server is not called {name[:80]!r}: start it with --allow-host for that",
                                  code="wrong_host")
        origin = headers.get("origin")
        ours = origin is None or urlsplit(origin).netloc.lower() == host.lower() or origin in self.settings.cors
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE
        if changes and (not ours or (origin is None and headers.get("sec-fetch-site") in ("cross-site", "same-site"))):
            return error_response(403, "another site's page may not use this server", code="foreign_origin")
        if scope["type"] == "http" and scope["method"] == "OPTIONS" and origin in self.settings.cors:
            return Response(status_code=204)
        scope["tenant"] = ""
        path = scope["path"]
        if self.settings.keys and (path.startswith("/v1/") or path == "/metrics") and path not in OPEN:
            tenant = tenant_of(key_in(headers), self.settings.keys)
            if tenant is None:
                return error_response(401, "no valid API key: send it as Authorization: Bearer KEY",
                                      code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
            scope["tenant"] = tenant
        if self.settings.keys or path == "/session":  # a key is not to be guessed either
            wait = self.rates.wait(scope["tenant"] or str((scope.get("client") or ("",))[0]))
            if wait > 0:
                return error_response(429, "too many requests: slow down", code="rate_limit_exceeded",
                                      headers={"Retry-After": str(max(1, round(wait)))})
        return None

    def _counted(self, receive: Receive) -> Receive:
        """The body, up to what may be sent."""
        got = 0

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > self._most:
                raise TooLarge
            return message

        return counted

    def _too_large(self):
        return error_response(413, f"more than the {self.settings.upload_bytes >> 20} MB that are taken at once",
                              code="too_large", headers={"Connection": "close"})

    def _with_headers(self, send: Send, origin: str | None) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if origin is not None and origin in self.settings.cors:
                    headers["access-control-allow-origin"] = origin
                    headers["access-control-allow-headers"] = "authorization, content-type"
                    headers["access-control-allow-methods"] = "GET, POST, DELETE"
                    headers["access-control-expose-headers"] = "openai-poll-after-ms, retry-after"
                    headers["cross-origin-resource-policy"] = "cross-origin"
                    headers.add_vary_header("Origin")
            await send(message)

        return sending


class TooLarge(Exception):
    """The body went on beyond what may be sent."""


def key_in(headers: Headers) -> str:
    """The key that a request brings: as OpenAI's clients send it, or in the page's cookie."""
    kind, _, key = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and key.strip():
        return key.strip()
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie else ""


class Rates:
    """Requests a minute of each client: a bucket that fills evenly and holds ten seconds' worth."""

    def __init__(self, per_minute: int) -> None:
        self.rate = per_minute / 60
        self.most = max(10.0, self.rate * 10)
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, who: str) -> float:
        """Count a request; seconds until it would be allowed, 0 when it is."""
        if not self.rate:
            return 0.0
        now = time.monotonic()
        left, then = self._buckets.pop(who, (self.most, now))
        left = min(self.most, left + (now - then) * self.rate)
        allowed = left >= 1
        self._buckets[who] = (left - allowed, now)  # the one asked last stands last
        if len(self._buckets) > BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        return 0.0 if allowed else (1 - left) / self.rate
