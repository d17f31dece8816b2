"""The verbs ``serve`` and ``drive``: their arguments, and the settings that these become."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from reverie.core.errors import BadInput
from reverie.verbs.reading import above_zero, count, whole

_SERVE = """\
The API is the Sora-style video API: point OpenAI's client at it (base_url="http://127.0.0.1:8000/v1"). Open the
address in a browser for the page. Without --api-key-file it answers this machine alone. /docs lists the routes,
/metrics is for Prometheus.
"""
_DRIVE = """\
WORLD|LOG: a model (a name, or a folder), or a video or driving log, from whose end you drive on.
"""


def add_serve(verbs, verb: Callable) -> None:
    """Register both. verb: cli's way to add a verb's parser."""
    for name, function, help, epilog in (("serve", _serve, "answer the video API and show the page", _SERVE),
                                         ("drive", _drive, "drive through a world in a browser", _DRIVE)):
        add = verb(verbs, name, function, help, epilog=epilog)
        if name == "drive":
            add("world", nargs="?", metavar="WORLD|LOG", help="what to drive in (default: the model base)")
            add("--no-browser", action="store_true", help="only say where the page is")
        add("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default 127.0.0.1)")
        add("--port", type=int, default=8000, metavar="N", help="(default 8000; 0: any that is free)")
        add("--data", metavar="DIR", help="where videos and jobs are kept (default ~/.local/share/reverie)")
        if name == "drive":
            add("--model", default="base", metavar="NAME|DIR", help="a model (default base)")
        else:
            add("--model", action="append", metavar="NAME|DIR",
                help="a model (default base); again: more, of which a request's field model chooses")
            _add_more(add)


def _add_more(add: Callable) -> None:
    add("--api-key-file", metavar="FILE", help="keys that may use it, one a line; needed when others can reach it")
    add("--allow-host", action="append", default=[], metavar="NAME", help="another name it may be called by")
    add("--cors", action="append", default=[], metavar="ORIGIN", help="another site whose pages may use it")
    add("--webhook-url", default="", metavar="URL", help="where video.completed and video.failed are sent")
    add("--webhook-secret-file", metavar="FILE", help="what signs them: whsec_... (default: $REVERIE_WEBHOOK_SECRET)")
    add("--allow-image-urls", action="store_true", help="fetch pictures from public http(s) addresses")
    add("--workers", type=count, default=1, metavar="N", help="processes that generate (default 1)")
    add("--batch", type=count, default=0, metavar="N", help="jobs that each makes at once (default 1; 4 on a GPU)")
    add("--queue", type=count, default=100, metavar="N", help="jobs that may wait (default 100)")
    add("--keep-hours", type=above_zero, default=168.0, metavar="H", help="finished videos are kept (default 168)")
    add("--disk", type=above_zero, default=10.0, metavar="GB", help="they may take; the oldest go (default 10)")
    add("--max-upload", type=count, default=64, metavar="MB", help="of one upload (default 64)")
    add("--max-pixels", type=count, default=512 * 512, metavar="N", help="of a frame that is made (default 262144)")
    add("--rate", type=whole, default=6000, metavar="N", help="requests a minute and key, 0: any (default 6000)")
    add("--ray", action="store_true", help="as a Ray Serve deployment (needs reverie[scale])")
    add("--replicas", type=count, default=1, metavar="N", help="of it, with --ray (default 1)")


def _settings(args):
    from reverie.serve.settings import Settings

    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    if not 0 <= args.port < 65536:
        raise BadInput(f"--port {args.port}: it must be from 0 to 65535")
    first, *others = map(_place, args.model if isinstance(args.model, list) else [args.model or "base"])
    return Settings(data=Path(args.data or Path(home) / "reverie").absolute(), host=args.host, port=args.port,
                    model=first, others=tuple(others))


def _place(model: str) -> str:
    """A model's folder, from anywhere; what is none is a name: base, or OWNER/NAME on the hub."""
    return str(Path(model).absolute()) if model != "base" and Path(model).exists() else model


def _serve(args) -> None:
    from dataclasses import replace

    from reverie.core.runtime import cores
    from reverie.serve.guard import read_keys
    from reverie.serve.webhooks import check_url, secret_bytes

    secret = os.environ.get("REVERIE_WEBHOOK_SECRET", "")
    if args.webhook_secret_file:
        try:
            secret = Path(args.webhook_secret_file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            raise BadInput(f"cannot read the webhook's secret in {args.webhook_secret_file}") from None
    secret_bytes(secret)
    settings = replace(
        _settings(args), keys=read_keys(args.api_key_file) if args.api_key_file else (), hosts=tuple(args.allow_host),
        cors=tuple(args.cors), webhook_url=check_url(args.webhook_url) if args.webhook_url else "",
        webhook_secret=secret, allow_image_urls=args.allow_image_urls, workers=args.workers, batch=args.batch,
        queue=args.queue, keep_hours=args.keep_hours, disk_bytes=int(args.disk * 2**30),
        upload_bytes=args.max_upload << 20, max_pixels=args.max_pixels, rate=max(0, args.rate))
    together = args.workers * (args.replicas if args.ray else 1)
    if together > 1:
        settings = replace(settings, threads=max(1, cores() // together))
    if args.ray:
        from reverie.serve.replicas import serve_replicas

        serve_replicas(settings, args.replicas)
        return
    from reverie.serve.serving import serve

    serve(settings)


def _drive(args) -> None:
    from dataclasses import replace

    from reverie.serve.serving import serve

    settings, place = _settings(args), "/#drive"
    world = args.world or "base"
    if world != "base" and any(Path(world).glob("transformer*.safetensors")):
        settings = replace(settings, model=str(Path(world).absolute()))
    elif world != "base":
        from reverie.serve.logs import import_log

        if not Path(world).exists():
            raise BadInput(f"no world or log {world!r}: base, a model's folder, a video, or a driving log")
        place = f"/#drive?video={import_log(settings, Path(world))}"
    serve(settings, open_at=None if args.no_browser else place)
