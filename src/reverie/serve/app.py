"""The server's application: routes, guard, workers and page, put together."""

from __future__ import annotations

import asyncio
import contextlib
import html
import importlib.util
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from reverie import __version__
from reverie.core.errors import BadInput
from reverie.serve import keeping, webhooks
from reverie.serve.answers import Wrong, error_response
from reverie.serve.guard import COOKIE, Guard, TooLarge, tenant_of
from reverie.serve.jobs import QueueFull, Store
from reverie.serve.making import Maker
from reverie.serve.metrics import Meter
from reverie.serve.models import models_facts
from reverie.serve.routes import router
from reverie.serve.settings import Settings
from reverie.serve.uploads import Decoder, read_body
from reverie.serve.workers import Workers

PAGE = Path(__file__).parent / "page"
WORDLESS = 3600.0  # seconds in which other people's models may load, or decode, without a sign of life
RETRY = "5"  # seconds after which a full queue may be tried again


def make_app(settings: Settings) -> FastAPI:
    """The ASGI application of one server. Raises BadInput, BadWeights for settings that cannot be."""
    settings.make_folders()
    app = FastAPI(title="Reverie", version=__version__, docs_url=None, redoc_url=None, lifespan=_life)
    state = app.state
    state.models = models_facts(settings.models)
    if any(model.foreign for model in state.models):
        settings = replace(settings, stall=max(settings.stall, WORDLESS))
    state.settings = settings
    state.store = Store(settings.data)
    state.decoder, state.worker = Decoder(settings), Workers(settings, state.store)
    state.maker = Maker(settings, state.store, state.decoder, state.models)
    state.on_start, state.on_stop = [], []
    app.include_router(router)
    _add_own(app)
    _add_errors(app)
    if importlib.util.find_spec("reverie.serve.live"):
        from reverie.serve.live import add_live

        add_live(app, settings)
    if (PAGE / "index.html").is_file():
        app.mount("/", StaticFiles(directory=PAGE, html=True), name="page")
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(_Metered, state=state)
    return app


class _Metered(Meter):
    """The meter, known to the application."""

    def __init__(self, app, state) -> None:
        super().__init__(app)
        state.meter = self


@contextlib.asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    state, settings = app.state, app.state.settings
    state.worker.start()
    tasks = [asyncio.create_task(keeping.keep(settings))]
    if settings.webhook_url:
        tasks.append(asyncio.create_task(webhooks.deliver(state.store, settings.webhook_url, settings.webhook_secret)))
    for begin in state.on_start:
        await begin()
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for end in state.on_stop:
            with contextlib.suppress(Exception):
                await end()
        await state.worker.stop()
        await state.decoder.close()
        await asyncio.gather(*tasks, return_exceptions=True)


def _add_own(app: FastAPI) -> None:
    """What is not under /v1."""
    @app.get("/healthz", summary="Whether it is well")
    async def health(request: Request) -> dict[str, str]:
        request.app.state.store.counts()
        return {"status": "ok", "worker": request.app.state.worker.state}

    @app.get("/metrics", response_class=PlainTextResponse, summary="For Prometheus")
    async def metrics(request: Request) -> str:
        state = request.app.state
        gauges = {f'reverie_jobs{{status="{status}"}}': count for status, count in state.store.counts().items()}
        return state.meter.text({
            **gauges, "reverie_worker_ready": state.worker.state == "ready",
            "reverie_worker_restarts": state.worker.restarts, "reverie_result_bytes": state.store.used_bytes(),
            "reverie_queue_limit": state.settings.queue})

    @app.post("/session", status_code=204, summary="Remember a key in a cookie, for the page")
    async def session(request: Request) -> Response:
        answer = Response(status_code=204)
        settings = request.app.state.settings
        if settings.keys:
            key = (await read_body(request)).get("key")
            if not isinstance(key, str) or tenant_of(key, settings.keys) is None:
                raise Wrong(401, "this is no valid API key", code="invalid_api_key")
            answer.set_cookie(COOKIE, key, httponly=True, samesite="strict", secure=request.url.scheme == "https")
        return answer

    @app.delete("/session", status_code=204, summary="Forget it")
    async def forget(request: Request) -> Response:
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs(request: Request) -> str:
        return _docs(request.app.openapi())


def _docs(schema: dict) -> str:
    """The schema as a plain page: no script, and nothing from elsewhere."""
    said = ["<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            "<title>Reverie's API</title><link rel=icon href=/icon.svg><link rel=stylesheet href=/style/base.css>"
            "<link rel=stylesheet href=/style/docs.css><main id=page><h1>Reverie's API</h1>"
            "<p>The whole schema: <a href=/openapi.json>openapi.json</a>. Code written for OpenAI's video API runs "
            "unchanged with this server's address and /v1 as its base_url.</p>"]
    for path, methods in schema["paths"].items():
        for method, about in methods.items():
            said.append(f"<h2>{method.upper()} {html.escape(path)}</h2><p>{html.escape(about.get('summary', ''))}</p>")
            rows = [(one["name"], one["in"], one["schema"]) for one in about.get("parameters", ())]
            for body in list(about.get("requestBody", {}).get("content", {}).values())[:1]:
                rows += [(name, "body", one) for name, one in body["schema"].get("properties", {}).items()]
            if rows:
                said.append("<table><tr><th>name<th>in<th>what it is</tr>")
                said += [f"<tr><td>{html.escape(name)}<td>{where}<td>{html.escape(one.get('description', ''))}</tr>"
                         for name, where, one in rows]
                said.append("</table>")
    return "\n".join(said)


def _add_errors(app: FastAPI) -> None:
    """Every error in OpenAI's shape."""
    @app.exception_handler(Wrong)
    async def wrong(request: Request, error: Wrong) -> JSONResponse:
        return error_response(error.status, error.message, param=error.param, code=error.code, headers=error.headers)

    @app.exception_handler(QueueFull)
    async def full(request: Request, error: QueueFull) -> JSONResponse:
        return error_response(429, str(error), code="queue_full", headers={"Retry-After": RETRY})

    @app.exception_handler(BadInput)
    async def bad_input(request: Request, error: BadInput) -> JSONResponse:
        return error_response(400, str(error), code="invalid_value")

    @app.exception_handler(TooLarge)
    async def too_large(request: Request, error: TooLarge) -> JSONResponse:
        most = request.app.state.settings.upload_bytes >> 20
        return error_response(413, f"more than the {most} MB that are taken at once", code="too_large",
                              headers={"Connection": "close"})

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = str(first["loc"][-1])
        return error_response(400, f"{where}: {first['msg']}", param=where, code="invalid_value")

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        what = {404: f"there is nothing at {request.url.path[:200]}",
                405: f"{request.url.path[:200]} does not take {request.method}"}
        message = what.get(error.status_code, str(error.detail))
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
        return error_response(error.status_code, message, code=code, headers=error.headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return error_response(500, f"unexpected failure: {type(error).__name__}", code="internal")
