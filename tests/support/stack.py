"""Runs Creditgate as an operator does: real processes, a real Valkey, a real ledger, gRPC over
sockets.
"""

import os
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from gate.envoy.auth_pb2_grpc import AuthorizationStub
from gate.envoy.ratelimit_pb2_grpc import RateLimitServiceStub
from gate.v1.gate_pb2 import GetBalanceRequest
from gate.v1.gate_pb2_grpc import GateStub
from meter.database.migrate import migrate
from meter.money import parse_credits
from meter.v1.accounts_pb2 import Account, CreateAccountRequest, Grant, GrantCreditsRequest
from meter.v1.accounts_pb2_grpc import AccountsStub
from meter.v1.ledger_pb2_grpc import LedgerStub
from meter.v1.notifications_pb2_grpc import NotificationsStub
from meter.v1.payments_pb2_grpc import PaymentsStub
from support.processes import Running, run, start
from support.servers import ValkeyServer, valkey_server, wait_until

_ports_given: set[int] = set()


def free_port() -> int:
    """Returns a loopback port that nobody listens on, and another one each time."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _ports_given:
            _ports_given.add(port)
            return port


class Process:
    """Runs a process of Creditgate; a test may kill and start the process as often as it likes."""

    def __init__(self, words: list[str], environment: dict[str, str], log: Path) -> None:
        self._words = words
        self._environment = environment
        self.log = log
        self._process: Running | None = None
        self._output = log.with_suffix(".out")

    def start(self) -> None:
        """Starts the process and returns once the process says `ready`."""
        with self._output.open("wb") as output, self.log.open("ab") as errors:
            self._process = start(self._words, self._environment, output, errors)
        wait_until(self._is_ready, 90)

    @property
    def printed(self) -> str:
        """Returns all that the process has printed to stdout since its last start."""
        return self._output.read_text()

    @property
    def pid(self) -> int:
        assert self._process is not None, "start() comes first"
        return self._process.pid

    def kill(self) -> None:
        """Ends it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """Asks the process to end, as an operator would, and returns the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Waits for the end of the process, and returns the exit status."""
        assert self._process is not None
        status = self._process.wait(60)
        self._process = None
        return status

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self._words} ended: {self.log.read_text()}"
        return b"ready" in self._output.read_bytes()


class Client:
    """Holds the stubs of a gate, and of billing for tests that read the ledger."""

    def __init__(
        self, target: str, billing_target: str = "", options: Sequence[tuple[str, Any]] = ()
    ) -> None:
        self.target = target
        self._channel = grpc.insecure_channel(target, options=options)
        self._billing_channel = grpc.insecure_channel(
            billing_target or "unix:/no/billing", options=options
        )
        self.gate: Any = GateStub(self._channel)
        self.accounts: Any = AccountsStub(self._channel)
        self.ledger: Any = LedgerStub(self._billing_channel)
        self.authorization: Any = AuthorizationStub(self._channel)
        self.rate_limit: Any = RateLimitServiceStub(self._channel)
        self.notifications: Any = NotificationsStub(self._billing_channel)
        self.payments: Any = PaymentsStub(self._billing_channel)

    def close(self) -> None:
        self._channel.close()
        self._billing_channel.close()

    def open_account(self, account_id: str, credits: str = "0", **settings: Any) -> None:
        """Creates an account and grants credits."""
        account = Account(
            account_id=account_id, currency=settings.pop("currency", "USD"), **settings
        )
        self.accounts.CreateAccount(CreateAccountRequest(account=account))
        if parse_credits(credits):
            self.grant(account_id, parse_credits(credits))

    def grant(self, account_id: str, nanos: int, request_id: str = "grant") -> None:
        grant = Grant(amount_nanos=nanos)
        self.accounts.GrantCredits(
            GrantCreditsRequest(account_id=account_id, request_id=request_id, grant=grant)
        )

    def health(self, service: str) -> int:
        """Returns what the gate tells of a service's health."""
        reply = HealthStub(self._channel).Check(HealthCheckRequest(service=service))
        return int(reply.status)

    def balance(self, account_id: str) -> Any:
        return self.gate.GetBalance(GetBalanceRequest(account_id=account_id)).balance


@dataclass
class Stack:
    """Runs gates, flushers and billings on one Valkey and one ledger."""

    folder: Path
    valkey: ValkeyServer
    ledger_url: str
    settings: dict[str, str]
    gates: list[Process] = field(default_factory=list)
    flushers: list[Process] = field(default_factory=list)
    billings: list[Process] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    billing_targets: list[str] = field(default_factory=list)

    def environment(self, target: str = "", billing_target: str = "") -> dict[str, str]:
        """Returns the environment of a command, by default for the first gate and billing."""
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith("CREDITGATE_")
        }
        own = {
            "CREDITGATE_REDIS_URL": self.valkey.url,
            "CREDITGATE_LEDGER_URL": self.ledger_url,
            "CREDITGATE_METRICS_LISTEN": "",
            "CREDITGATE_DATA_DIR": str(self.folder / "data"),
            "CREDITGATE_LISTEN": target or _first(self.targets),
            "CREDITGATE_BILLING_LISTEN": billing_target or _first(self.billing_targets),
            "CREDITGATE_FLUSH_INTERVAL_MS": "100",  # readers ask; the rest may wait
            "TMPDIR": str(self.folder),  # what a killed process leaves behind goes with the stack
        }
        return clean | own | self.settings

    def command(self, *words: str) -> str:
        """Runs a `creditgate` command, which must succeed, and returns what was printed."""
        done = run(words, self.environment(), timeout_s=300)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def add_gate(self, **settings: str) -> Process:
        target = free_address()
        environment = self.environment(target) | variables(settings)
        gate = Process(["serve"], environment, self.folder / f"gate-{len(self.gates)}.log")
        gate.start()
        self.gates.append(gate)
        self.targets.append(target)
        return gate

    def add_billing(self, **settings: str) -> Process:
        target = free_address()
        environment = self.environment(billing_target=target) | variables(settings)
        log = self.folder / f"billing-{len(self.billings)}.log"
        billing = Process(["billing"], environment, log)
        billing.start()
        self.billings.append(billing)
        self.billing_targets.append(target)
        return billing

    def add_flusher(self) -> Process:
        flusher = Process(
            ["flush"], self.environment(), self.folder / f"flusher-{len(self.flushers)}.log"
        )
        flusher.start()
        self.flushers.append(flusher)
        return flusher

    def kill(self) -> None:
        """Ends every process but Valkey, as a crash would."""
        for process in (*self.gates, *self.flushers, *self.billings):
            process.kill()

    def client(self, gate: int = 0) -> Client:
        return Client(self.targets[gate], self.billing_targets[0])


def variables(settings: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables of settings, which are named without the prefix."""
    return {f"CREDITGATE_{name.upper()}": value for name, value in settings.items()}


def free_address() -> str:
    """Returns a loopback address that nobody listens on."""
    return f"127.0.0.1:{free_port()}"


def _first(targets: list[str]) -> str:
    if targets:
        return targets[0]
    return free_address()


@contextmanager
def running_stack(
    ledger_url: str = "",
    *,
    gates: int = 1,
    flushers: int = 1,
    billings: int = 1,
    durable: bool = False,
    **settings: str,
) -> Iterator[Stack]:
    """Runs a stack until the end of the block.

    `settings` are environment variables without their prefix; `durable`: AOF, fsync always.
    """
    aof = {"appendonly": "yes", "appendfsync": "always"} if durable else {}
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="cg-stack-")))
        valkey = opened.enter_context(valkey_server(**aof))
        ledger_url = ledger_url or f"sqlite:///{folder}/ledger.db"
        stack = Stack(folder, valkey, ledger_url, variables(settings))
        migrate(ledger_url)
        opened.callback(stack.kill)
        for _ in range(flushers):
            stack.add_flusher()
        for _ in range(billings):
            stack.add_billing()
        for _ in range(gates):
            stack.add_gate()
        yield stack
