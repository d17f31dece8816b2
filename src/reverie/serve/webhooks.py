"""Telling another program that a video is completed or failed, signed as OpenAI's webhooks are.

Events are rows that the table of jobs writes by itself in the moment a job ends, so none is missed or made twice; each
is sent to the one URL of the command line until it is taken (2xx), at most TRIES times. webhook-id stays the same.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import http.client
import json
import ssl
import sys
import time
from urllib.parse import urlsplit

from reverie.core.errors import BadInput
from reverie.serve.jobs import Store

TRIES = 8
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 3600.0  # seconds between tries, doubling
ANSWER = 10.0  # seconds in which it must be answered


def secret_bytes(secret: str) -> bytes:
    """What signs: whsec_ and base64 as OpenAI gives it, else the text itself. Raises BadInput."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("the webhook's secret must be whsec_ and base64") from None


def signed_headers(secret: str, name: str, body: bytes, now: float) -> dict[str, str]:
    """webhook-id, webhook-timestamp, webhook-signature: HMAC-SHA256 over id.timestamp.body."""
    stamp = str(int(now))
    mark = hmac.new(secret_bytes(secret), f"{name}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {"webhook-id": name, "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{base64.b64encode(mark).decode()}"}


def check_url(url: str) -> str:
    """The URL, if it is http or https. Raises BadInput."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"the webhook {url[:80]!r} is no http or https URL")
    return url


def send(url: str, secret: str, event: dict) -> bool:
    """Post one event; whether it was taken."""
    parts = urlsplit(url)
    body = json.dumps({"id": event["id"], "object": "event", "created_at": int(event["created"]), "type": event["type"],
                       "data": {"id": event["job"]}}).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "reverie",
               **(signed_headers(secret, event["id"], body, time.time()) if secret else {})}
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=ANSWER, context=ssl.create_default_context())
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER)
    try:
        connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
        return 200 <= connection.getresponse().status < 300
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


async def deliver(store: Store, url: str, secret: str) -> None:
    """Send events as they come, until cancelled."""
    while True:
        now = time.time()
        row = store.due_event(now, hold=ANSWER * 2)
        if row is None:
            await asyncio.sleep(0.5)
            continue
        event = dict(row)
        if await asyncio.to_thread(send, url, secret, event):
            store.event_sent(event["id"])
        elif event["tries"] >= TRIES:
            print(f"reverie: the webhook did not take {event['type']} of {event['job']}", file=sys.stderr, flush=True)
            store.event_sent(event["id"])
        else:
            store.event_later(event["id"], now + min(FIRST_PAUSE * 2 ** event["tries"], LONGEST_PAUSE))
