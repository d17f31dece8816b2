"""Pictures and videos that a request points at: files, data: URLs, finished videos, and other URLs where allowed."""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import json
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import UploadFile

from reverie.serve.answers import Wrong, bad, missing
from reverie.serve.jobs import VIDEO_KINDS, Job, Store
from reverie.serve.settings import Settings
from reverie.serve.uploads import Decoder, Kept, data_url

FETCH_SECONDS = 20.0


async def image_of(value: Any, decoder: Decoder, settings: Settings, param: str) -> Kept:
    """The picture of ``input_reference`` in any form that clients send it. Raises Wrong."""
    value = _parsed(value)
    if isinstance(value, UploadFile):
        return await decoder.take(value, "image", param)
    if isinstance(value, dict):
        if value.get("file_id"):
            raise bad(f"{param}: there are no stored files here: send the picture itself, or its data: URL", param)
        value = value.get("image_url")
        if isinstance(value, dict):  # as chat messages have it
            value = value.get("url")
    if not isinstance(value, str):
        raise bad(f"{param} must be a picture: a file, or {{\"image_url\": \"data:image/png;base64,...\"}}", param)
    if value.startswith("data:"):
        return await decoder.take(data_url(value, settings.upload_bytes, param), "image", param)
    if not settings.allow_image_urls:
        raise bad(f"{param}: pictures are not fetched from elsewhere: send the file, or a data: URL", param)
    return await decoder.take(await asyncio.to_thread(fetch, value, settings.upload_bytes, param), "image", param)


async def video_of(value: Any, decoder: Decoder, store: Store, tenant: str, settings: Settings,
                   param: str) -> Kept | Job:
    """A video that was sent, or a finished one of this tenant's. Raises Wrong."""
    value = _parsed(value)
    if isinstance(value, UploadFile):
        return await decoder.take(value, "video", param)
    if isinstance(value, dict):
        value = value.get("id") or value.get("video_id") or value.get("video_url")
    if not isinstance(value, str):
        raise bad(f"{param} must be a video: a file, or {{\"id\": \"video_...\"}}", param)
    if value.startswith("data:"):
        return await decoder.take(data_url(value, settings.upload_bytes, param), "video", param)
    return finished(store, tenant, value)


def finished(store: Store, tenant: str, name: str) -> Job:
    """A completed video that still has its file. Raises Wrong."""
    job = store.get(tenant, name)
    if job is None or job.kind not in VIDEO_KINDS:
        raise missing("video", name)
    if job.status == "failed":
        raise Wrong(409, f"the video {name} failed: {job.error}", param="video", code="video_failed")
    if job.status != "completed":
        raise Wrong(409, f"the video {name} is not completed yet", param="video", code="video_not_ready")
    if store.result(job, "video.mp4") is None:
        raise Wrong(404, f"the file of {name} has expired", param="video", code="video_expired")
    return job


def fetch(url: str, most: int, param: str) -> bytes:
    """The bytes behind an http(s) URL on the open internet. Raises Wrong.

    The name is resolved once, every address it has must be public, and that very address is connected to: a second
    answer of the name server changes nothing. Redirections are not followed.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise bad(f"{param}: this is no URL", param) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise bad(f"{param}: only data:, http: and https: URLs without a password are read", param)
    address = _public(parts.hostname, port, param)
    connection: http.client.HTTPConnection = (_Secure if parts.scheme == "https" else _Plain)(
        parts.hostname, port, timeout=FETCH_SECONDS)
    connection.address = address  # type: ignore[attr-defined]
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"User-Agent": "reverie", "Accept": "image/*"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise bad(f"{param}: the URL was answered with status {answer.status}", param)
        body = answer.read(most + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise bad(f"{param}: the URL cannot be read ({type(error).__name__})", param) from None
    finally:
        connection.close()
    if len(body) > most:
        raise Wrong(413, f"{param} is larger than the {most >> 20} MB that are taken", param=param, code="too_large")
    return body


def _public(host: str, port: int, param: str) -> str:
    """The address to connect to. Raises Wrong unless all that the name stands for is public."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise bad(f"{param}: the URL's host is not known", param) from None
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    for text in addresses:
        address = ipaddress.ip_address(text)
        inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
        if not (address.is_global and inner.is_global) or address.is_multicast:
            raise bad(f"{param}: the URL leads to an address that is not public", param)
    return addresses[0]


class _Plain(http.client.HTTPConnection):
    """A connection to an address that was looked at before."""

    address = ""

    def connect(self) -> None:
        self.sock = socket.create_connection((self.address, self.port), self.timeout)


class _Secure(_Plain):
    """The same, with TLS for the host's name."""

    default_port = 443

    def connect(self) -> None:
        super().connect()
        self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


def _parsed(value: Any) -> Any:
    """JSON in a form's field as what it says."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
