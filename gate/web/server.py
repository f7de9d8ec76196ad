"""Serves the services over HTTP, in the event loop of the process."""

import asyncio
import logging
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from importlib.resources import files

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gate.address import Address, clear_socket
from gate.server.tls import ServerTls
from gate.web import problems
from gate.web.calls import Call
from gate.web.connect import connect_endpoint
from gate.web.v1 import v1_routes

_BACKLOG = 1024
_MOST_HEADER_BYTES = 16 * 1024


class HttpServer:
    """Serves calls at an address, with /healthz and the description of /v1."""

    def __init__(
        self,
        calls: Iterable[Call],
        address: Address,
        *,
        shares_port: bool,
        tls: ServerTls | None,
    ) -> None:
        self._address = address
        self._shares_port = shares_port
        self._serving = True
        self._tls = tls
        self._app = self._application(list(calls))

    def __str__(self) -> str:
        return str(self._address)

    async def start(self) -> None:
        """Listens; raises OSError if the address cannot be had."""
        listener = self._listener()
        self._server = _Server(self._config())
        self._running = asyncio.create_task(self._server.serve([listener]))
        while not self._server.started:  # uvicorn has no event for it
            if self._running.done():
                self._running.result()
            await asyncio.sleep(0)

    async def set_serving(self, serving: bool) -> None:
        """Sets what /healthz tells."""
        self._serving = serving

    async def drain(self, timeout_s: float) -> None:
        """Takes no new calls, lets those in flight end, and stops."""
        self._serving = False
        self._server.config.timeout_graceful_shutdown = max(1, round(timeout_s))
        self._server.should_exit = True
        await self._running
        clear_socket(self._address)

    def _config(self) -> uvicorn.Config:
        config = uvicorn.Config(
            self._app,
            loop="none",
            http="h11",
            h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        config.load()
        if self._tls is not None:
            config.ssl = self._tls.context()
        return config

    def _listener(self) -> socket.socket:
        clear_socket(self._address)
        try:
            return self._bound()
        except OSError as error:
            raise OSError(self._address.refused(error)) from None

    def _bound(self) -> socket.socket:
        if self._address.path:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(self._address.path)
            return listener
        where = (self._address.host, self._address.port)
        family, _, _, _, found = socket.getaddrinfo(*where, type=socket.SOCK_STREAM)[0]
        return socket.create_server(
            found[:2],
            family=family,
            backlog=_BACKLOG,
            reuse_port=self._shares_port,
        )

    def _application(self, calls: list[Call]) -> Starlette:
        routes = [Route(call.path, connect_endpoint(call), methods=["POST"]) for call in calls]
        routes += v1_routes(calls)
        routes.append(Route("/healthz", self._health))
        routes.append(Route("/openapi.json", _openapi))
        app = Starlette(routes=routes, exception_handlers={HTTPException: _not_a_call})
        app.router.redirect_slashes = False  # a call that is sent elsewhere is no call
        return app

    async def _health(self, _: Request) -> Response:
        if self._serving:
            return JSONResponse({"status": "SERVING"})
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"status": "NOT_SERVING"}, status_code=status)


class _Server(uvicorn.Server):
    """Leaves signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _openapi(_: Request) -> Response:
    text = (files("gate") / "web" / "openapi.json").read_bytes()
    return Response(text, media_type="application/json")


async def _not_a_call(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    detail = "calls are /v1/... and /package.Service/Method; /openapi.json describes /v1"
    response = problems.plain(status, detail)
    response.headers.update(error.headers or {})
    return response
