"""Calls to the running services, and how the commands print amounts, times and pages."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from gate.address import Address
from gate.channel_options import NO_PROXY
from gate.cli.own_tls import channel_credentials
from gate.cli.own_token import WithToken, token_metadata
from gate.settings import Settings, env_name, load_settings
from gate.v1.gate_pb2_grpc import GateStub
from meter.money import AmountError, grouped_credits, parse_credits
from meter.v1.accounts_pb2_grpc import AccountsStub
from meter.v1.ledger_pb2_grpc import LedgerStub
from meter.v1.notifications_pb2_grpc import NotificationsStub
from meter.v1.payments_pb2_grpc import PaymentsStub

TIMEOUT_S = 30.0

# After these a call may have taken effect, unless the connection was refused.
_UNKNOWN = (
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN,
)
_REFUSED = "failed to connect to all addresses"  # in grpc's own words

# Fields that a command has under another name: errors are told by the command's name.
_OPTIONS = {
    "overage_protection_nanos": "--overage",
    "daily_limit_nanos": "--daily-limit",
    "test_clock_time": "--test-clock",
    "overage_policy": "--overage-policy",
    "thresholds": "--threshold",
    "graces": "--grace",
    "effective_at": "--effective",
    "expires_at": "--expires",
    "threshold_nanos": "--below",
    "target_nanos": "--up-to",
    "monthly_limit_nanos": "--monthly-limit",
    "method_id": "--method",
    "test_method": "--test-method",
    "set_by": "--set-by",
    "models": "--model",
    "services": "--service",
    "payment_reference": "--reference",
    "payment_method": "--method",
    "credits_live_ms": "--live",
    "uses_per_code": "--uses",
    "uses_per_account": "--uses-per-account",
    "currency": "--currency",
    "priority": "--priority",
    "description": "--description",
    "reason": "--reason",
    "codes": "--codes",
    "window": "--window",
    "scope": "--scope",
    "type": "--type",
    "request_id": "--request-id",
    "page_size": "--limit",
    "page_token": "--page-token",
    "account_id": "ACCOUNT",
    "grant_id": "GRANT",
    "hold_id": "HOLD",
    "budget_id": "BUDGET",
    "top_up_id": "TOP_UP",
    "invoice_number": "NUMBER",
    "limit_nanos": "CREDITS",
    "amount_nanos": "CREDITS",
    "start_time": "--since",
    "end_time": "--until",
    "period_start": "--since",
    "period_end": "--until",
    "url": "URL",
    "types": "--type",
    "event_id": "--event",
    "since": "--since",
    "state": "--state",
    "endpoint_id": "ENDPOINT",
    "billing_emails": "--billing-email",
    "alert_emails": "--alert-email",
    "recipient": "RECIPIENT",
}

AsJson = Annotated[
    bool, typer.Option("--json", help="Print the reply as JSON, with the proto's field names.")
]

_PIPE_WIDTH = 10_000  # into a file or a pipe no line is folded, and no number cut short


def _new_console() -> Console:
    """Returns a console without markup: brackets are part of an account's name, or of a text."""
    width: int | None = _PIPE_WIDTH
    if sys.stdout is not None and sys.stdout.isatty():
        width = None  # as the terminal has it
    return WholeTables(
        highlight=False,
        markup=False,
        emoji=False,
        width=width,
    )


class WholeTables(Console):
    """Prints tables whole: a table too wide for the terminal goes beyond the edge, so that no id
    or number is lost.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        for each in objects:
            if isinstance(each, Table):
                _fold_only_words(each)
                self.width = max(self.width, self._least_width(each))
        super().print(*objects, **options)

    def _least_width(self, table: Table) -> int:
        roomy = self.options.update(max_width=_PIPE_WIDTH)
        return Measurement.get(self, roomy, table).minimum


def _fold_only_words(table: Table) -> None:
    """Lets only columns of several words take more than a line: no id, number or date is folded."""
    for column in table.columns:
        column.overflow = "fold"
        if all(" " not in str(cell) for cell in column.cells):
            column.no_wrap = True


console = _new_console()


class CallFailed(Exception):
    """Tells that the service refused a call, or could not be reached."""


class Service:
    """Holds the stubs of a running gate."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.gate: Any = GateStub(channel)  # the generated stubs have no types
        self.accounts: Any = AccountsStub(channel)


@contextmanager
def service() -> Iterator[Service]:
    """Opens the gate at CREDITGATE_LISTEN; a failed call inside raises CallFailed."""
    with open_channel("listen") as channel:
        yield Service(channel)


@contextmanager
def ledger_service() -> Iterator[Any]:
    """Opens the ledger at CREDITGATE_BILLING_LISTEN; a failed call inside raises CallFailed."""
    with open_channel("billing_listen") as channel:
        yield LedgerStub(channel)


@contextmanager
def notifications_service() -> Iterator[Any]:
    """Opens Notifications, which billing serves; a failed call inside raises CallFailed."""
    with open_channel("billing_listen") as channel:
        yield NotificationsStub(channel)


@contextmanager
def payments_service() -> Iterator[Any]:
    """Opens payments at CREDITGATE_BILLING_LISTEN; a failed call inside raises CallFailed."""
    with open_channel("billing_listen") as channel:
        yield PaymentsStub(channel)


def _settings() -> Settings:
    """Returns the settings of a command that only calls: it needs no data directory."""
    return load_settings(data_dir=Path("/"))


class _LastRequest(grpc.UnaryUnaryClientInterceptor):
    """Remembers the request id of the last call."""

    def __init__(self) -> None:
        self.request_id = ""

    def intercept_unary_unary(self, proceed: Any, details: Any, request: Any) -> Any:
        self.request_id = getattr(request, "request_id", "")
        return proceed(details, request)


@contextmanager
def open_channel(setting: str) -> Iterator[grpc.Channel]:
    """Opens a channel to the address of the setting; its calls carry the command's token.

    A failed call inside raises CallFailed.
    """
    settings = _settings()
    address: Address = getattr(settings, setting)
    last = _LastRequest()
    with_token = WithToken(token_metadata(settings))
    with _opened(address, channel_credentials(settings)) as channel:
        try:
            yield grpc.intercept_channel(channel, last, with_token)
        except grpc.RpcError as error:
            told = explain(error, address, setting)
            raise CallFailed(f"{told}{_advice(error, last.request_id)}") from None


def _opened(address: Address, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    options = [NO_PROXY]
    if credentials is None:
        return grpc.insecure_channel(address.grpc_target, options=options)
    return grpc.secure_channel(address.grpc_target, credentials, options=options)


def _advice(error: Any, request_id: str) -> str:
    """Returns what to do next: name a token, or repeat a call whose outcome is unknown."""
    if error.code() is grpc.StatusCode.UNAUTHENTICATED:
        return f"; the command's own token is {env_name('token')} or {env_name('token_file')}"
    if not request_id or error.code() not in _UNKNOWN or _REFUSED in error.details():
        return ""
    return f"; whether it took effect is unknown: repeat it with --request-id {request_id}"


def explain(error: Any, address: Address, setting: str) -> str:
    """Tells of a failed call in one line, in the words of the command's options.

    The line ends with the reason's word. If nobody answered, the line names the address and the
    setting from which the address was taken.
    """
    info = ErrorInfo()
    blame = BadRequest()
    status = rpc_status.from_call(error)
    if status is not None:
        for detail in status.details:
            _ = detail.Unpack(info) or detail.Unpack(blame)
    if not info.reason and error.code() is grpc.StatusCode.UNAVAILABLE:
        return (
            f"no service answers at {address}: start one with `creditgate up`,"
            f" or set {env_name(setting)} ({error.details()})"
        )
    message = error.details()
    for violation in blame.field_violations:
        if option := _option(violation.field):
            message = f"{option}{message.removeprefix(violation.field)}"
    return f"{message} ({info.reason or error.code().name})"


def _option(field: str) -> str | None:
    """Returns a command's name for a request's field."""
    names = re.sub(r"\[\d+\]", "", field).split(".")
    for name in reversed(names):
        if name in _OPTIONS:
            return _OPTIONS[name]
    return None


def print_json(message: Message) -> None:
    """Prints a message as protobuf's JSON, with int64 as strings, so that no reader rounds them."""
    print(
        MessageToJson(
            message,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
    )


def parse_amount(option: str, text: str) -> int:
    """Returns the nanos of credits as typed; CallFailed tells how to write credits."""
    try:
        return parse_credits(text)
    except AmountError as error:
        raise CallFailed(f"{option}: {error}") from None


def parse_time(option: str, text: str) -> Timestamp | None:
    """Returns a time as typed, in UTC unless the text names a zone; None for no text.

    CallFailed tells how to write a time.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CallFailed(
            f"{option}: {text!r} is no time; write it as 2026-11-01 or 2026-11-01T12:00"
        ) from None
    return _timestamp(moment)


def _timestamp(moment: datetime) -> Timestamp:
    in_zone = moment.replace(tzinfo=moment.tzinfo or UTC)
    stamp = Timestamp()
    stamp.FromDatetime(in_zone)
    return stamp


def money(nanos: int, currency: str = "") -> str:
    """Returns credits for a table: grouped, exact."""
    text = grouped_credits(nanos)
    if currency:
        text = f"{text} {currency}"
    return text


def when(stamp: Timestamp) -> str:
    """Returns a time for a table, in UTC."""
    return stamp.ToDatetime().isoformat(sep=" ", timespec="seconds")


def print_next(token: str) -> None:
    """Tells how to get the next page, if there is a next page."""
    if token:
        console.print(f"more: --page-token {token}", soft_wrap=True)
