"""``reverie serve``: a server that runs until it is stopped."""

from __future__ import annotations

import socket
import sys
import threading
import webbrowser

from reverie.core.errors import BadInput, CannotWrite
from reverie.serve.app import make_app
from reverie.serve.settings import Settings


def serve(settings: Settings, *, open_at: str | None = None) -> None:
    """Serve until Ctrl-C. open_at: the page's path that a browser is shown.

    Raises BadInput, BadWeights, CannotWrite.
    """
    import uvicorn

    if not settings.loopback and not settings.keys:
        raise BadInput(f"on {settings.host} others can reach it: give --api-key-file, or bind to 127.0.0.1")
    app = make_app(settings)
    listener = _listen(settings)
    port = listener.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}"
    print(f"Reverie serves {url}/ and the API at {url}/v1 (data in {settings.data}); Ctrl-C ends it", flush=True)
    if open_at is not None:
        threading.Timer(1.0, webbrowser.open, (url + open_at,)).start()
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, date_header=True,
                            timeout_graceful_shutdown=5, ws_max_size=65536, timeout_keep_alive=30, lifespan="on")
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    if not server.started:
        sys.exit(1)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise CannotWrite(f"cannot serve on {settings.host}:{settings.port}: {why}; choose another --port") from None
    listener.listen(1024)
    return listener
