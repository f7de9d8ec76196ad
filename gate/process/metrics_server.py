"""Serves the metrics of a registry over HTTP at /metrics."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

from gate.address import Address
from gate.process.http_server import http_server


def metrics_server(
    address: Address,
    registry: CollectorRegistry,
) -> AbstractContextManager[None]:
    """Serves the registry from a thread meanwhile; StartupError if the address cannot be had."""
    return http_server(address, _only_metrics(make_wsgi_app(registry)), "metrics")


def _only_metrics(metrics: WSGIApplication) -> WSGIApplication:
    """Returns an application that has one page, and tells of any other that it is not found."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            return metrics(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"not found; metrics are at /metrics\n"]

    return answer
