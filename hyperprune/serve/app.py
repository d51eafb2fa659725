"""The addresses of the live page, and what answers each."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from html import escape
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hyperprune.errors import HyperpruneError, RunError
from hyperprune.serve.guard import Guard, Handler
from hyperprune.serve.library import Library
from hyperprune.store.lock import owner_process


def application(folder: Path, token: str, hosts: Iterable[str], *, allow_stop: bool) -> Starlette:
    """The live page of a folder's runs, for requests that carry the token to one of the hosts."""
    library, guard = Library(folder, allow_stop=allow_stop), Guard(token, hosts)
    home = f"/{token}/"

    async def runs(request: Request) -> Response:
        return HTMLResponse(await run_in_threadpool(library.listing, home))

    async def run(request: Request) -> Response:
        name = request.path_params["name"]
        return HTMLResponse(await run_in_threadpool(library.page, name))

    async def progress(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(library.progress, request.path_params["name"]))

    async def stop(request: Request) -> Response:
        process = owner_process(library.path(request.path_params["name"]))
        if process is None:
            raise RunError("nobody on this machine works on this run")
        os.kill(process, signal.SIGINT)  # what Ctrl-C sends: the run stops after this step
        return PlainTextResponse("asked to stop after this step\n")

    routes = [
        Route("/{token}/", guard(_told(runs))),
        Route("/{token}/run/{name}/", guard(_told(run))),
        Route("/{token}/run/{name}/progress.json", guard(_told(progress, page=False))),
    ]
    if allow_stop:
        stopped = guard(_told(stop, page=False))
        routes.append(Route("/{token}/run/{name}/stop", stopped, methods=["POST"]))
    return Starlette(routes=routes)


def _told(handler: Handler, *, page: bool = True) -> Handler:
    """Say what is wrong with a run instead of failing: as a page, or in plain words to a page's script."""

    async def told(request: Request) -> Response:
        try:
            return await handler(request)
        except HyperpruneError as error:
            if not page:
                return PlainTextResponse(f"{error}\n", 404)
            words = f"<!doctype html><title>hyperprune</title><p>{escape(str(error))}</p>"
            return HTMLResponse(words, 404)

    return told
