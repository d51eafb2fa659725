"""Serves the live page until Ctrl-C, at an address that only whoever sees it can know."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from hyperprune.errors import RunError
from hyperprune.store.pages import announced

NICE = 15
"""How far the server steps back: a run that needs the core leaves it a thirtieth."""


def serve(folder: Path, port: int, *, allow_stop: bool, say: Callable[[str], None]) -> None:
    """Serve a folder of runs on the loopback address; raises RunError."""
    try:
        import uvicorn

        from hyperprune.serve.app import application
        from hyperprune.serve.guard import LOOPBACK, own_hosts
    except ImportError as error:
        raise RunError(f"serving needs {error.name}: pip install 'hyperprune[serve]'") from error
    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}; name the folder that your runs lie in")
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
    except OSError as error:
        listening.close()
        raise RunError(f"cannot serve on port {port}: {error.strerror}; choose another") from error
    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(16)
    if hasattr(os, "nice"):
        os.nice(NICE)
    say(f"http://{LOOPBACK}:{port}/{token}/")
    app = application(folder, token, own_hosts(port), allow_stop=allow_stop)
    settings = uvicorn.Config(app, log_level="warning", access_log=False, limit_concurrency=64)
    with announced(folder, f"http://{LOOPBACK}:{port}/{token}/"):
        uvicorn.Server(settings).run(sockets=[listening])
