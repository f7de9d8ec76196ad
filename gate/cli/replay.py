"""`creditgate replay`: drives the running gate with a trace of real requests, as a gateway
would.
"""

import asyncio
import csv
import secrets
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, TypeVar

import grpc
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gate.cli.connection import CallFailed, console, explain, money, parse_amount
from gate.settings import load_settings
from gate.v1.gate_pb2 import ALLOWED, AuthorizeRequest, DebitRequest, Reason, Usage
from gate.v1.gate_pb2_grpc import GateStub
from meter.v1.accounts_pb2 import Account, CreateAccountRequest, Grant, GrantCreditsRequest
from meter.v1.accounts_pb2_grpc import AccountsStub

_HEADER = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]
_CALL_S = 10.0
_ATTEMPTS = 6
_Reply = TypeVar("_Reply")


@dataclass(frozen=True, slots=True)
class Row:
    """One request of the trace; `at_s` counts from its first."""

    at_s: float
    input_tokens: int
    output_tokens: int


@dataclass(slots=True)
class Tally:
    """What the replay has seen."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    charged_nanos: int = 0
    shortfall_nanos: int = 0
    retries: int = 0
    denied: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(replay)


def replay(
    trace: Annotated[
        Path,
        typer.Argument(
            metavar="TRACE.csv", help="Columns TIMESTAMP,ContextTokens,GeneratedTokens."
        ),
    ],
    model: Annotated[str, typer.Option(help="Model to price the tokens by.")] = "gpt-4o",
    account: Annotated[
        str, typer.Option(help="Account to use; with --accounts N: ACCOUNT-1 to ACCOUNT-N.")
    ] = "replay",
    accounts: Annotated[int, typer.Option(min=1, help="Accounts to spread the requests over.")] = 1,
    credits: Annotated[
        str,
        typer.Option(metavar="CREDITS", help="Granted to each account that does not exist yet."),
    ] = "1000",
    currency: Annotated[str, typer.Option(help="Of accounts that do not exist yet.")] = "USD",
    speed: Annotated[
        float, typer.Option(min=0, help="Times real time; 0: as fast as it goes.")
    ] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests under way at once.")] = 32,
    estimate: Annotated[
        int, typer.Option(min=1, help="Output tokens to authorize for each request.")
    ] = 256,
    limit: Annotated[int, typer.Option(min=0, help="Stop after this many rows; 0: all.")] = 0,
    run_id: Annotated[
        str, typer.Option(help="Makes request ids; the same one again takes effect once.")
    ] = "",
) -> None:
    """Replay a trace: for each row Authorize on an estimate, then Debit what was really used."""
    rows = list(read_trace(trace))[: limit or None]
    nanos = parse_amount("--credits", credits)
    names = (
        [account] if accounts == 1 else [f"{account}-{number}" for number in range(1, accounts + 1)]
    )
    run = _Run(model, estimate, speed, concurrency, run_id or secrets.token_hex(6))
    asyncio.run(run.drive(rows, names, currency, nanos))
    console.print(_result(run.tally, run.elapsed_s))


def read_trace(path: Path) -> Iterator[Row]:
    """The rows of a trace; CallFailed names the line that is wrong."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        lines = csv.reader(file)
        if next(lines, None) != _HEADER:
            raise CallFailed(f"{path}: the first line must be {','.join(_HEADER)}")
        first: datetime | None = None
        for number, line in enumerate(lines, start=2):
            try:
                at, input_tokens, output_tokens = line
                moment = datetime.fromisoformat(at[:26])  # traces count in 100 ns, datetime in 1000
                first = first or moment
                yield Row((moment - first).total_seconds(), int(input_tokens), int(output_tokens))
            except (ValueError, TypeError):  # TypeError: a time with a zone among times without
                raise CallFailed(
                    f"{path}, line {number}: {','.join(line)!r} is not of the form {','.join(_HEADER)}"
                ) from None


@dataclass(slots=True)
class _Run:
    model: str
    estimate: int
    speed: float
    concurrency: int
    run_id: str
    tally: Tally = field(default_factory=Tally)
    elapsed_s: float = 0.0

    async def drive(self, rows: list[Row], names: list[str], currency: str, nanos: int) -> None:
        address = load_settings().listen
        try:
            async with grpc.aio.insecure_channel(address.grpc_target) as channel:
                await self._prepare(AccountsStub(channel), names, currency, nanos)
                await self._play(GateStub(channel), rows, names)
        except grpc.RpcError as error:
            raise CallFailed(explain(error, address, "listen")) from None

    async def _prepare(self, stub: Any, names: list[str], currency: str, nanos: int) -> None:
        for name in names:
            try:
                account = Account(account_id=name, currency=currency)
                await stub.CreateAccount(
                    CreateAccountRequest(account=account, request_id=f"{self.run_id}/create"),
                    timeout=_CALL_S,
                )
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                    raise
                continue
            if nanos:
                grant = Grant(amount_nanos=nanos, description="for the replay")
                request = GrantCreditsRequest(
                    account_id=name, request_id=f"{self.run_id}/grant", grant=grant
                )
                await stub.GrantCredits(request, timeout=_CALL_S)

    async def _play(self, stub: Any, rows: list[Row], names: list[str]) -> None:
        started = perf_counter()
        pending = enumerate(rows)
        with _progress() as progress:
            bar = progress.add_task("replaying", total=len(rows))

            async def work() -> None:
                for number, row in pending:
                    if self.speed:
                        await asyncio.sleep(
                            max(0.0, started + row.at_s / self.speed - perf_counter())
                        )
                    await self._request(stub, number, row, names[number % len(names)])
                    progress.advance(bar)

            try:
                async with asyncio.TaskGroup() as workers:
                    for _ in range(min(self.concurrency, len(rows))):
                        workers.create_task(work())
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None  # one call's failure has ended all
        self.elapsed_s = perf_counter() - started

    async def _request(self, stub: Any, number: int, row: Row, account_id: str) -> None:
        self.tally.requests += 1
        request_id = f"{self.run_id}-{number}"
        estimated = Usage(
            model=self.model, input_tokens=row.input_tokens, output_tokens=self.estimate
        )
        ask = AuthorizeRequest(
            account_id=account_id, request_id=f"{request_id}/authorize", usage=estimated
        )
        hold = await self._call("Authorize", stub.Authorize, ask)
        if hold.decision != ALLOWED:
            self.tally.denied[Reason.Name(hold.denial.reason)] += 1
            return
        used = Usage(
            model=self.model, input_tokens=row.input_tokens, output_tokens=row.output_tokens
        )
        tell = DebitRequest(
            account_id=account_id,
            request_id=f"{request_id}/debit",
            usage=used,
            hold_id=hold.hold_id,
        )
        debit = await self._call("Debit", stub.Debit, tell)
        self.tally.input_tokens += row.input_tokens
        self.tally.output_tokens += row.output_tokens
        self.tally.charged_nanos += debit.charged_nanos
        self.tally.shortfall_nanos += debit.shortfall_nanos

    async def _call(
        self, name: str, method: Callable[..., Awaitable[_Reply]], request: object
    ) -> _Reply:
        """The reply; a call that may have been lost is repeated with the same request id."""
        for attempt in range(_ATTEMPTS):
            started = perf_counter()
            try:
                reply = await method(request, timeout=_CALL_S, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE or attempt == _ATTEMPTS - 1:
                    raise
                self.tally.retries += 1
                await asyncio.sleep(0.05 * 2**attempt)
            else:
                self.tally.seconds[name].append(perf_counter() - started)
                return reply
        raise AssertionError("the last attempt returns or raises")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _result(tally: Tally, elapsed_s: float) -> Table:
    table = Table(title="replay", show_header=False, box=None, title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    table.add_row("requests", f"{tally.requests:,}")
    for reason, count in sorted(tally.denied.items()):
        table.add_row(f"denied: {reason}", f"{count:,}")
    table.add_row("input tokens", f"{tally.input_tokens:,}")
    table.add_row("output tokens", f"{tally.output_tokens:,}")
    table.add_row("credits charged", money(tally.charged_nanos))
    if tally.shortfall_nanos:
        table.add_row("shortfall", money(tally.shortfall_nanos))
    if tally.retries:
        table.add_row("calls repeated", f"{tally.retries:,}")
    table.add_row("took", f"{elapsed_s:.1f} s")
    for name, seconds in tally.seconds.items():
        table.add_row(
            f"{name} p50 / p99",
            f"{_percentile(seconds, 50):.2f} / {_percentile(seconds, 99):.2f} ms",
        )
    return table


def _percentile(seconds: list[float], percent: int) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1000
