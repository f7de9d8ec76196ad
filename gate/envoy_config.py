"""Writes the configuration of a stock Envoy from what is shipped in gate/shipped/envoy."""

import json
import ssl
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from textwrap import indent
from typing import NamedTuple
from urllib.parse import urlsplit

from gate.address import Address

ACCOUNT_HEADER = "x-creditgate-account"
_SHIPPED = files("gate") / "shipped" / "envoy"
_CA_FILE = "/etc/ssl/certs/ca-certificates.crt"  # where nothing tells of another
_BEARER = "Bearer %ENVIRONMENT(CREDITGATE_TOKEN)%"
_FILTER = "type.googleapis.com/envoy.extensions.filters.http"


class Upstream(NamedTuple):
    """Holds where model calls go: `https://host[:port]` or `http://host[:port]`."""

    host: str
    port: int
    is_tls: bool


class Gateway(NamedTuple):
    """Holds what the configuration is made of.

    `accounts` are the accounts by the key that their clients send; `account` is everybody's, for a
    gateway without keys. `upstream_headers` are added to each call; Envoy takes values such as
    `Bearer %ENVIRONMENT(OPENAI_API_KEY)%` from its environment. With `has_token`, Envoy's calls to
    the gate carry the token that CREDITGATE_TOKEN has in Envoy's environment.
    """

    listen: Address
    gate: Address
    upstream: Upstream
    accounts: Mapping[str, str]
    account: str
    upstream_headers: Mapping[str, str]
    has_token: bool = False


def parse_upstream(text: str) -> Upstream:
    """Reads the address of a provider; ValueError tells the form."""
    url = urlsplit(text)
    has_more = url.path not in ("", "/") or url.query or url.fragment or url.username
    if url.scheme not in ("http", "https") or not url.hostname or has_more:
        raise ValueError("write https://HOST or http://HOST, with :PORT if need be and no path")
    default_port = 443
    if url.scheme == "http":
        default_port = 80
    return Upstream(url.hostname, url.port or default_port, url.scheme == "https")


def envoy_config(gateway: Gateway) -> str:
    """Returns the configuration as YAML, the script within it."""
    template = Template((_SHIPPED / "envoy.yaml").read_text())
    script = (_SHIPPED / "creditgate.lua").read_text()
    headers = [_header(name, value) for name, value in gateway.upstream_headers.items()]
    token = ""
    if gateway.has_token:
        token = json.dumps({"key": "authorization", "value": _BEARER})
    return template.substitute(
        listen_host=gateway.listen.host,
        listen_port=gateway.listen.port,
        identity=indent("- " + json.dumps(_identity(gateway)), " " * 10),
        lua=indent(script, " " * 18),
        upstream_headers=", ".join(map(json.dumps, headers)),
        token=token,
        gate_type=_cluster_type(gateway.gate),
        gate_address=json.dumps(_address(gateway.gate)),
        upstream_host=gateway.upstream.host,
        upstream_port=gateway.upstream.port,
        upstream_tls=_tls(gateway.upstream),
    )


def _identity(gateway: Gateway) -> dict[str, object]:
    """Returns the filter that says whose a request is: by the client's key, or by `account`."""
    if not gateway.accounts:
        mutation = {"append": _header(ACCOUNT_HEADER, gateway.account)}
        config: dict[str, object] = {
            "@type": f"{_FILTER}.header_mutation.v3.HeaderMutation",
            "mutations": {"request_mutations": [mutation]},
        }
        return {"name": "envoy.filters.http.header_mutation", "typed_config": config}
    credentials = [{"key": key, "client": account} for key, account in gateway.accounts.items()]
    config = {
        "@type": f"{_FILTER}.api_key_auth.v3.ApiKeyAuth",
        "credentials": credentials,
        "key_sources": [{"header": "authorization"}, {"header": "x-api-key"}],
        "forwarding": {"header": ACCOUNT_HEADER, "hide_credentials": True},
    }
    return {"name": "envoy.filters.http.api_key_auth", "typed_config": config}


def _header(name: str, value: str) -> dict[str, object]:
    return {
        "header": {"key": name, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def _cluster_type(address: Address) -> str:
    if address.path:
        return "STATIC"
    return "STRICT_DNS"


def _address(address: Address) -> dict[str, object]:
    if address.path:
        return {"pipe": {"path": address.path}}
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def _tls(upstream: Upstream) -> str:
    if not upstream.is_tls:
        return ""
    authorities = ssl.get_default_verify_paths().cafile or _CA_FILE
    context = {
        "@type": (
            "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
        ),
        "sni": upstream.host,
        "auto_sni_san_validation": True,
        "common_tls_context": {"validation_context": {"trusted_ca": {"filename": authorities}}},
    }
    socket = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    return indent("transport_socket: " + json.dumps(socket), " " * 4)
