"""A stock Envoy with the shipped configuration, between clients and a provider, over a real stack."""

import http.client
import json
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from gate.access.roles import Role
from gate.access.token_file import TokenFile, token_of
from gate.token_text import new_token
from meter.v1.ledger_pb2 import DEBIT, RELEASE
from support.customer import Customer
from support.doors import TokenClient
from support.fake_provider import FakeProvider, fake_provider
from support.scraping import Metrics
from support.servers import wait_until
from support.stack import Client, Stack, free_port, running_stack

ENVOY = Path(sysconfig.get_path("scripts")) / "envoy"
_NUMBERS = range(80)


@dataclass(frozen=True)
class Answer:
    """Holds a response as the client saw it; `is_cut` if the response did not end."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_cut: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class EnvoyStack:
    """Holds the parts; a customer of its own for each test."""

    stack: Stack
    client: Client
    provider: FakeProvider
    metrics: Metrics
    port: int
    numbers: Iterator[int] = field(default_factory=lambda: iter(_NUMBERS))
    _asked: Iterator[int] = field(default_factory=count)

    def customer(self, credits: str = "1", **settings: Any) -> Customer:
        """Opens the account of the next key."""
        account_id = f"envoy-{next(self.numbers)}"
        self.client.open_account(account_id, credits, **settings)
        return Customer(self.client, account_id)

    def begin(
        self,
        customer: Customer | None,
        answer: str,
        path: str = "/v1/chat/completions",
        body: Any = None,
        **headers: str,
    ) -> http.client.HTTPConnection:
        """Sends a model call with the customer's key, and does not wait for the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        if body is None:
            body = {"model": "gpt-4o", "max_tokens": 50, "messages": []}
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        sent = {"x-answer": f"{answer}/{next(self._asked)}", "content-type": "application/json"}
        if customer is not None:
            sent["authorization"] = f"Bearer key-{customer.account_id}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", path, body, sent)
        return connection

    def call(self, customer: Customer | None, answer: str, *args: Any, **more: Any) -> Answer:
        """Makes a model call and reads the response."""
        connection = self.begin(customer, answer, *args, **more)
        try:
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            try:
                return Answer(response.status, headers, response.read())
            except http.client.IncompleteRead as cut:
                return Answer(response.status, headers, cut.partial, is_cut=True)
        finally:
            connection.close()

    def counted(self, method: str, outcome: str = "OK") -> float:
        with suppress(OSError):
            return self.metrics.value("creditgate_requests_total", method=method, outcome=outcome)
        return 0.0

    def settlements(self, outcome: str) -> float:
        return self.metrics.value("creditgate_settlements_total", source="envoy", outcome=outcome)


def settled(customer: Customer, holds: int = 1) -> list[Any]:
    """Returns the entries that ended the customer's holds, newest first, once all are over."""
    wait_until(lambda: _ended(customer) >= holds, 30)
    return [entry for entry in customer.entries() if entry.amount_nanos < 0]


def _ended(customer: Customer) -> int:
    if customer.balance().held_nanos:
        return 0
    return len(customer.entries(DEBIT, RELEASE))


def _tokens(path: Path, *roles: Role) -> dict[Role, str]:
    """Writes a file with a token for each role, and returns the tokens."""
    tokens = {role: new_token() for role in roles}
    TokenFile(path).write(
        [token_of(role, token, [role], [], None) for role, token in tokens.items()]
    )
    return tokens


@contextmanager
def envoy_stack() -> Iterator[EnvoyStack]:
    """Runs everything until the end of the block."""
    with ExitStack() as opened:
        metrics = Metrics(free_port())
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="tokens-")))
        tokens = _tokens(folder / "tokens.yaml", Role.ADMIN, Role.GATE)
        stack = opened.enter_context(
            running_stack(gates=0, reap_interval_ms="100", tokens_file=f"{folder}/tokens.yaml")
        )
        stack.add_gate(
            metrics_listen=metrics.address,
            envoy_dimensions='{"user": "header:x-user"}',
            envoy_hold_ttl_ms="60000",
        )
        provider = opened.enter_context(fake_provider())
        keys = stack.folder / "keys.yaml"
        keys.write_text("".join(f"key-envoy-{number}: envoy-{number}\n" for number in _NUMBERS))
        port = free_port()
        words = [
            *("--listen", f"127.0.0.1:{port}"),
            *("--upstream", f"http://127.0.0.1:{provider.port}"),
            *("--keys", str(keys)),
            *("--header", "authorization=Bearer %ENVIRONMENT(PROVIDER_KEY)%"),
        ]
        opened.enter_context(_gateway(stack, words, port, tokens[Role.GATE]))
        client = TokenClient(stack.targets[0], stack.billing_targets[0], tokens[Role.ADMIN])
        opened.callback(client.close)
        yield EnvoyStack(stack, client, provider, metrics, port)


@contextmanager
def _gateway(stack: Stack, words: list[str], port: int, token: str) -> Iterator[None]:
    """Runs the command, which becomes Envoy."""
    log = stack.folder / "envoy.log"
    own = {
        "PROVIDER_KEY": "the-providers",
        "CREDITGATE_DATA_DIR": str(stack.folder / "data"),
        "CREDITGATE_TOKEN": token,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gate.cli", "gateway", *words],
            env=stack.environment() | own,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: _listens(port, process, log), 60)
        yield
    finally:
        process.kill()
        process.wait()


def _listens(port: int, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v1/models")
        return connection.getresponse().status > 0
    except OSError:
        return False
    finally:
        connection.close()
