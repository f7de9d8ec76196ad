"""The command to replay a trace of real requests against the running gate, as a gateway would."""

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

from gate.channel_options import NO_PROXY
from gate.cli.connection import CallFailed, console, explain, money, parse_amount
from gate.cli.output import facts_table
from gate.cli.own_tls import channel_credentials
from gate.cli.own_token import WithTokenAsync, token_metadata
from gate.settings import Settings, load_settings
from gate.v1.gate_pb2 import (
    ALLOWED,
    AuthorizeRequest,
    DebitRequest,
    DebitResponse,
    Reason,
    Usage,
)
from gate.v1.gate_pb2_grpc import GateStub
from meter.v1.accounts_pb2 import Account, CreateAccountRequest, Grant, GrantCreditsRequest
from meter.v1.accounts_pb2_grpc import AccountsStub

_HEADER = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]
_CALL_TIMEOUT_S = 10.0
_ATTEMPTS = 6
_FIRST_PAUSE_S = 0.05  # before the second attempt; doubled before each further attempt
_Reply = TypeVar("_Reply")


@dataclass(frozen=True, slots=True)
class Row:
    """Holds a request of the trace; `at_s` counts from the trace's first request."""

    at_s: float
    input_tokens: int
    output_tokens: int


@dataclass(slots=True)
class Tally:
    """Adds up the results of the replay; `seconds` has the duration of each call by method."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    charged_nanos: int = 0
    shortfall_nanos: int = 0
    retries: int = 0
    denied: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, row: Row, debited: DebitResponse) -> None:
        """Adds a row that was charged."""
        self.input_tokens += row.input_tokens
        self.output_tokens += row.output_tokens
        self.charged_nanos += debited.charged_nanos
        self.shortfall_nanos += debited.shortfall_nanos


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
    accounts: Annotated[
        int,
        typer.Option(
            min=1,
            help="Accounts to spread the requests over.",
        ),
    ] = 1,
    credits: Annotated[
        str,
        typer.Option(metavar="CREDITS", help="Granted to each account that does not exist yet."),
    ] = "1000",
    currency: Annotated[str, typer.Option(help="Of accounts that do not exist yet.")] = "USD",
    speed: Annotated[
        float, typer.Option(min=0, help="Times real time; 0: as fast as it goes.")
    ] = 0,
    concurrency: Annotated[
        int,
        typer.Option(
            min=1,
            help="Requests under way at once.",
        ),
    ] = 32,
    estimate: Annotated[
        int, typer.Option(min=1, help="Output tokens to authorize for each request.")
    ] = 256,
    limit: Annotated[
        int,
        typer.Option(
            min=0,
            help="Stop after this many rows; 0: all.",
        ),
    ] = 0,
    run_id: Annotated[
        str, typer.Option(help="Makes request ids; the same one again takes effect once.")
    ] = "",
) -> None:
    """Replay a trace: for each row Authorize on an estimate, then Debit what was really used."""
    rows = list(read_trace(trace))
    if limit:
        rows = rows[:limit]
    run = _Run(
        model=model,
        estimated_output_tokens=estimate,
        speed=speed,
        concurrency=concurrency,
        run_id=run_id or secrets.token_hex(6),
        account_ids=_account_ids(account, accounts),
    )
    asyncio.run(run.drive(rows, currency, parse_amount("--credits", credits)))
    console.print(_result_table(run.tally, run.elapsed_s))


def _account_ids(name: str, count: int) -> list[str]:
    if count == 1:
        return [name]
    return [f"{name}-{number}" for number in range(1, count + 1)]


def read_trace(path: Path) -> Iterator[Row]:
    """Yields the rows of a trace; raises CallFailed with the number of a wrong line."""
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
                at_s = (moment - first).total_seconds()
                yield Row(at_s, int(input_tokens), int(output_tokens))
            except (ValueError, TypeError):  # TypeError: a time with a zone among times without
                text = ",".join(line)
                raise CallFailed(
                    f"{path}, line {number}: {text!r} is not of the form {','.join(_HEADER)}"
                ) from None


@dataclass(slots=True)
class _Run:
    model: str
    estimated_output_tokens: int
    speed: float  # times real time; 0: without pauses
    concurrency: int
    run_id: str
    account_ids: list[str]
    tally: Tally = field(default_factory=Tally)
    elapsed_s: float = 0.0

    async def drive(
        self,
        rows: list[Row],
        currency: str,
        credits_nanos: int,
    ) -> None:
        """Creates the missing accounts, then plays the rows."""
        settings = load_settings()
        address = settings.listen
        try:
            async with _opened(settings) as channel:
                accounts = AccountsStub(channel)
                for account_id in self.account_ids:
                    await self._create_account(accounts, account_id, currency, credits_nanos)
                await self._play(GateStub(channel), rows)
        except grpc.RpcError as error:
            raise CallFailed(explain(error, address, "listen")) from None

    async def _create_account(
        self,
        stub: Any,
        account_id: str,
        currency: str,
        credits_nanos: int,
    ) -> None:
        """Creates an account with credits; an existing account gets none."""
        create = CreateAccountRequest(
            account=Account(account_id=account_id, currency=currency),
            request_id=f"{self.run_id}/create",
        )
        try:
            await stub.CreateAccount(create, timeout=_CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.ALREADY_EXISTS:
                return
            raise
        if credits_nanos:
            grant = GrantCreditsRequest(
                account_id=account_id,
                request_id=f"{self.run_id}/grant",
                grant=Grant(amount_nanos=credits_nanos, description="for the replay"),
            )
            await stub.GrantCredits(grant, timeout=_CALL_TIMEOUT_S)

    async def _play(self, stub: Any, rows: list[Row]) -> None:
        """Plays the rows, up to `concurrency` at once; the first failed call ends the run."""
        started = perf_counter()
        pending = enumerate(rows)
        with _progress() as progress:
            bar = progress.add_task("replaying", total=len(rows))

            async def work() -> None:
                for number, row in pending:
                    await self._wait_for(row, started)
                    await self._request(stub, number, row)
                    progress.advance(bar)

            try:
                async with asyncio.TaskGroup() as workers:
                    for _ in range(min(self.concurrency, len(rows))):
                        workers.create_task(work())
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None
        self.elapsed_s = perf_counter() - started

    async def _wait_for(self, row: Row, started: float) -> None:
        if self.speed:
            due = started + row.at_s / self.speed
            await asyncio.sleep(max(0.0, due - perf_counter()))

    async def _request(self, stub: Any, number: int, row: Row) -> None:
        """Authorizes the estimate of a row, then debits the row's real usage."""
        self.tally.requests += 1
        account_id = self.account_ids[number % len(self.account_ids)]
        request_id = f"{self.run_id}-{number}"
        authorize = AuthorizeRequest(
            account_id=account_id,
            request_id=f"{request_id}/authorize",
            usage=self._usage(row.input_tokens, self.estimated_output_tokens),
        )
        hold = await self._call("Authorize", stub.Authorize, authorize)
        if hold.decision != ALLOWED:
            self.tally.denied[Reason.Name(hold.denial.reason)] += 1
            return
        debit = DebitRequest(
            account_id=account_id,
            request_id=f"{request_id}/debit",
            usage=self._usage(row.input_tokens, row.output_tokens),
            hold_id=hold.hold_id,
        )
        debited = await self._call("Debit", stub.Debit, debit)
        self.tally.add(row, debited)

    def _usage(self, input_tokens: int, output_tokens: int) -> Usage:
        return Usage(
            model=self.model,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )

    async def _call(
        self,
        name: str,
        method: Callable[..., Awaitable[_Reply]],
        request: object,
    ) -> _Reply:
        """Returns the reply to a call.

        An UNAVAILABLE call is repeated with the same request id, so the call takes effect once.
        """
        for attempt in range(_ATTEMPTS):
            started = perf_counter()
            try:
                reply = await method(
                    request,
                    timeout=_CALL_TIMEOUT_S,
                    wait_for_ready=True,
                )
            except grpc.aio.AioRpcError as error:
                is_last = attempt == _ATTEMPTS - 1
                if is_last or error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                self.tally.retries += 1
                await asyncio.sleep(_FIRST_PAUSE_S * 2**attempt)
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


def _opened(settings: Settings) -> grpc.aio.Channel:
    target = settings.listen.grpc_target
    credentials = channel_credentials(settings)
    own: dict[str, Any] = {
        "options": [NO_PROXY],
        "interceptors": [WithTokenAsync(token_metadata(settings))],
    }
    if credentials is None:
        return grpc.aio.insecure_channel(target, **own)
    return grpc.aio.secure_channel(target, credentials, **own)


def _result_table(tally: Tally, elapsed_s: float) -> Table:
    table = facts_table("replay")
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
        median = _percentile_ms(seconds, 50)
        slow = _percentile_ms(seconds, 99)
        table.add_row(f"{name} p50 / p99", f"{median:.2f} / {slow:.2f} ms")
    return table


def _percentile_ms(seconds: list[float], percent: int) -> float:
    ordered = sorted(seconds)
    position = len(ordered) * percent // 100
    return ordered[min(position, len(ordered) - 1)] * 1000
