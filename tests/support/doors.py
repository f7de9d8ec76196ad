"""Runs gate and billing in a thread of the tests' process, on both transports, with tokens.

What a process would be started for is shown here without the start.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import uvloop
from grpc_status import rpc_status
from prometheus_client import CollectorRegistry

from gate import app
from gate.access.roles import Role
from gate.access.token_file import Token, TokenFile, token_of
from gate.server.serving import Serving
from gate.settings import Settings, load_settings
from gate.token_text import new_token
from gate.v1.gate_pb2 import GetBalanceRequest
from meter.database.migrate import migrate, open_ledger
from meter.flush_requests import FlushRequests
from meter.flusher import Flusher
from meter.journals import Journals, journal_client
from meter.ledger.positions import Positions
from meter.metrics import FlusherMetrics
from meter.v1.ledger_pb2 import GetInvoiceRequest
from support.connect_client import ConnectClient, ConnectError
from support.customer import refusal_of
from support.servers import wait_until
from support.stack import Client, free_address, free_port

TRANSPORTS = ["native", "grpcio"]
HTTP = "http"


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Runs an event loop in a thread until the end of the block."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def served_in(
    loop: asyncio.AbstractEventLoop, opening: AbstractAsyncContextManager[Serving]
) -> Iterator[None]:
    """Serves in the loop for the length of the block, and drains as a process does."""
    serving = asyncio.run_coroutine_threadsafe(opening.__aenter__(), loop).result()

    async def end() -> None:
        await serving.drain(5.0)
        await opening.__aexit__(None, None, None)

    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result()


@contextmanager
def flushing(settings: Settings) -> Iterator[None]:
    """Carries all that is decided into the ledger, in a thread."""
    stop = threading.Event()
    metrics = FlusherMetrics(CollectorRegistry())
    redis = journal_client(settings.shared_redis_url())
    with closing(open_ledger(settings.ledger_url)) as ledger, closing(redis):
        Positions(ledger).ensure(settings.shards)
        journals = Journals(redis, settings.shards)
        flusher = Flusher(
            journals, FlushRequests(redis), ledger, 20, metrics, settings.store_name()
        )
        thread = threading.Thread(target=flusher.run, args=[stop])
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@dataclass
class Doors:
    """Holds the addresses of gates and billings by transport, and tokens by who bears them.

    There are a token for each role, of which the customer's is for the accounts `own-*`; `scoped`,
    an administrator of these accounts alone; `expired`, `unknown`, and `none`, which is empty.
    """

    folder: Path
    settings: dict[str, Any]
    loop: asyncio.AbstractEventLoop
    gates: dict[str, str] = field(default_factory=dict)
    billings: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    # Of the gate and the billing that are native:
    metrics_port: int = field(default_factory=free_port)
    http: str = field(default_factory=free_address)
    billing_http: str = field(default_factory=free_address)

    @property
    def file(self) -> TokenFile:
        return TokenFile(self.folder / "tokens.yaml")

    def make_tokens(self) -> None:
        """Makes the tokens that `tokens` holds."""
        for role in Role:
            accounts = ["own-*"] if role is Role.CUSTOMER else None
            self.tokens[role] = self.new_token(role, role, accounts=accounts)
        self.tokens["scoped"] = self.new_token("scoped", Role.ADMIN, accounts=["own-*"])
        self.tokens["expired"] = self.new_token("expired", Role.ADMIN)
        self.tokens |= {"unknown": new_token(), "none": ""}

    def open(self, transport: str, opened: ExitStack, of_billing: Mapping[str, str]) -> None:
        """Runs a gate and a billing until the stack is unwound."""
        self.gates[transport] = free_address()
        self.billings[transport] = free_address()
        http: dict[str, str] = {}
        billing_http: dict[str, str] = {}
        if transport == "native":
            metrics = f"127.0.0.1:{self.metrics_port}"
            http = {"http_listen": self.http, "metrics_listen": metrics}
            billing_http = {"billing_http_listen": self.billing_http}
        gate = self.settings_of(transport=transport, listen=self.gates[transport], **http)
        billing = self.settings_of(
            transport=transport,
            billing_listen=self.billings[transport],
            **billing_http,
            **of_billing,
        )
        opened.enter_context(served_in(self.loop, app._gate(gate, shares_port=False)))
        opened.enter_context(served_in(self.loop, app._billing(billing)))

    def settings_of(self, **others: Any) -> Settings:
        return load_settings(**(self.settings | others))

    def new_token(self, name: str, *roles: Role, accounts: list[str] | None = None) -> str:
        """Adds a token to the file; a token named `expired` has expired."""
        secret = new_token()
        expires_at = datetime.now(UTC) + timedelta(days=1)
        if name == "expired":
            expires_at -= timedelta(days=2)
        tokens: list[Token] = []
        if self.file.path.exists():
            tokens = self.file.read()
        self.file.write([*tokens, token_of(name, secret, list(roles), accounts or [], expires_at)])
        return secret

    @contextmanager
    def another_gate(self, **settings: Any) -> Iterator[str]:
        """Runs a gate of other settings on the same store and ledger; yields its address."""
        address = free_address()
        own = self.settings_of(**settings, listen=address)
        with served_in(self.loop, app._gate(own, shares_port=False)):
            yield address

    def client(self, face: str, token: str) -> Any:
        """Returns a client that sends the token with every call, an empty one not at all.

        The face is a transport of gRPC, or `http`.
        """
        if face == HTTP:
            return ConnectClient(self.http, self.billing_http, token)
        return TokenClient(self.gates[face], self.billings[face], token)

    def wait_until_known(self, token: str, is_known: bool = True) -> None:
        """Waits until every process knows the token, or knows it no more."""
        for transport in TRANSPORTS:
            client = self.client(transport, token)
            calls = (
                partial(client.gate.GetBalance, GetBalanceRequest(account_id="none")),
                partial(client.ledger.GetInvoice, GetInvoiceRequest(invoice_number="none")),
            )
            for call in calls:
                wait_until(partial(_is_answered, call, is_known))
            client.close()

    def environment(self, transport: str) -> dict[str, str]:
        """Returns the environment of an administrator's command."""
        return {
            "CREDITGATE_LISTEN": self.gates[transport],
            "CREDITGATE_BILLING_LISTEN": self.billings[transport],
            "CREDITGATE_TOKEN": self.tokens["admin"],
        }


class TokenClient(Client):
    """Sends a token along with every call; an empty one is not sent."""

    def __init__(self, target: str, billing_target: str, token: str) -> None:
        super().__init__(target, billing_target)
        metadata = [("authorization", f"Bearer {token}")] * bool(token)
        for name in STUBS:
            setattr(self, name, _Stub(getattr(self, name), metadata))


STUBS = (
    "gate",
    "accounts",
    "ledger",
    "notifications",
    "payments",
    "authorization",
    "rate_limit",
)


class _Stub:
    def __init__(self, stub: Any, metadata: list[tuple[str, str]]) -> None:
        self._stub = stub
        self._metadata = metadata

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._stub, method)
        return lambda request, **options: call(request, metadata=self._metadata, **options)


def _is_answered(call: Callable[[], Any], is_known: bool) -> bool:
    return (reason_of(call) != "UNAUTHENTICATED") is is_known


def reason_of(call: Callable[..., Any], *request: Any) -> str:
    """Returns the reason of the error with which a call ends; its code without a reason, or OK."""
    try:
        call(*request)
    except ConnectError as error:
        return error.reason
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        if status is None:
            return error.code().name
        return refusal_of(status).reason
    return "OK"


@contextmanager
def opened_doors(
    folder: Path,
    redis_url: str,
    *,
    transports: Sequence[str] = TRANSPORTS,
    ledger_url: str = "",
    flusher: Mapping[str, str] | None = None,
    billing: Mapping[str, str] | None = None,
) -> Iterator[Doors]:
    """Runs gate and billing on each transport, and a flusher, until the end of the block.

    `flusher` and `billing` are settings of these processes alone.
    """
    if not ledger_url:
        ledger_url = f"sqlite:///{folder}/ledger.db"
        migrate(ledger_url)
    settings = {
        "data_dir": folder,
        "ledger_url": ledger_url,
        "redis_url": redis_url,
        "redis_name": "of these tests",
        "tokens_file": folder / "tokens.yaml",
        "payments": "test",
        "memory_max_mib": 1_048_576,  # the process is that of all tests
        "metrics_listen": "",
        "shards": 2,
        "reap_interval_ms": 50,
        "voucher_key": "of all gates of these tests, as an operator sets it",
    }
    with running_loop() as loop, ExitStack() as opened:
        doors = Doors(folder, settings, loop)
        doors.make_tokens()
        opened.enter_context(flushing(doors.settings_of(**(flusher or {}))))
        for transport in transports:
            doors.open(transport, opened, billing or {})
        yield doors
