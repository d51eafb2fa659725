"""Which requests are answered: to this machine's own names, with the token that was printed."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

Handler = Callable[[Request], Awaitable[Response]]

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


LOOPBACK = "127.0.0.1"


def own_hosts(port: int) -> tuple[str, ...]:
    """What a browser may call this machine at a port; at HTTP's own it leaves the port out."""
    names = (LOOPBACK, "localhost")
    return (*(f"{name}:{port}" for name in names), *(names if port == 80 else ()))


class Guard:
    """Turns away requests with a strange host, a wrong token, or another site's origin.

    A page elsewhere can make a browser ask 127.0.0.1 under a name of its own (DNS rebinding): the
    host header gives it away.
    """

    def __init__(self, token: str, hosts: Iterable[str]) -> None:
        self.token, self.hosts = token, frozenset(hosts)

    def refusal(self, request: Request) -> Response | None:
        """Why a request gets no answer; None where it does."""
        host = request.headers.get("host", "")
        if host not in self.hosts:
            return PlainTextResponse("unknown host\n", 403)
        origin = request.headers.get("origin")
        if origin is not None and origin not in {f"http://{name}" for name in self.hosts}:
            return PlainTextResponse("unknown origin\n", 403)
        given = str(request.path_params.get("token", ""))
        if not secrets.compare_digest(given.encode(), self.token.encode()):
            return PlainTextResponse("not found\n", 404)
        return None

    def __call__(self, handler: Handler) -> Handler:
        """Put the guard before a handler."""

        async def guarded(request: Request) -> Response:
            response = self.refusal(request) or await handler(request)
            response.headers.update(HEADERS)
            return response

        return guarded
