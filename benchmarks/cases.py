"""The cases: what is measured, by name, in the order of one round."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from ceiling import DEPTHS, USUAL_DEPTH, one_by_one, pipelined
from flushing import flush
from lab import ACCOUNTS, SATURATING, TAGGED, Lab, Server
from null_rpc import transports
from population import POOR, POOR_ACCOUNTS, USUAL
from processes import Stack
from results import Result, of_load, of_rate
from starting import start_up

RATES = (500, 2_000, 5_000, 10_000)  # calls a second, as gateways make them
_SERVABLE = 0.8  # of the saturated rate
CLIENTS = (1, 4, 16, 64, 256, 512)
SWEEP = "clients"  # the case that tries them all
SWEPT = {"ours": "Debit", "naive": "naive design", "null": "null RPC"}
_KINDS = {
    "tagged": "one grant and no budget",
    "5 grants": "five grants and no budget",
    "1 budget": "one budget matches",
    "4 budgets": "four budgets match",
}
_BATCH_CLIENTS = 8  # a batch keeps the service as busy as many calls do

Run = Callable[[Lab], Result]


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table. `unit` is what `per_s` counts."""

    name: str
    unit: str
    what: str
    run: Run


def cases() -> list[Case]:
    """All of them."""
    of_redis = [*_bare(), *_ceilings()]
    of_others = [*_nulls(), *_naive()]
    return [*of_others, *of_redis, *_ours(), *_with_flusher(), *_crowded(), *_sweeps(), *_upkeep()]


def _nulls() -> list[Case]:
    def null(transport: str, clients: int) -> Run:
        return lambda lab: of_load(lab.load(lab.null(transport), "null", clients))

    found = []
    for transport in transports():
        what = f"an empty method on the {transport} server"
        found.append(Case(f"null {transport} 1", "call", f"{what}, one client", null(transport, 1)))
        found.append(Case(f"null {transport} saturated", "call", what, null(transport, SATURATING)))
    return found


def _naive() -> list[Case]:
    def naive(clients: int) -> Run:
        return lambda lab: of_load(lab.load(lab.naive, "debit", clients))

    what = "Debit by grpc.aio and redis-py, one await per call"
    return [
        Case("naive 1", "debit", f"{what}, one client", naive(1)),
        Case("naive saturated", "debit", what, naive(SATURATING)),
    ]


def _bare() -> list[Case]:
    def bare(lab: Lab) -> Result:
        return of_rate(one_by_one(lab.quiet, lab.supplies["debit"], lab.options.seconds / 2))

    return [
        Case("bare script 1", "debit", "the debit's FCALL over a plain socket, one at a time", bare)
    ]


def _ceilings() -> list[Case]:
    def ceiling(name: str, depth: int) -> Run:
        return lambda lab: of_rate(
            pipelined(lab.quiet, lab.supplies[name], depth, lab.options.seconds / 2)
        )

    def what(depth: int) -> str:
        return f"pipelined in lots of {depth}"

    commands = {
        "debit": "the debit's FCALL",
        "pair": "the FCALLs of Authorize and of the Debit of its hold",
    }
    found = [
        Case(f"ceiling {name} x{depth}", name, f"{command} {what(depth)}", ceiling(name, depth))
        for name, command in commands.items()
        for depth in DEPTHS
    ]
    scripts = [
        Case(
            f"script {name}",
            "script",
            f"{name}.lua {what(USUAL_DEPTH)}",
            ceiling(name, USUAL_DEPTH),
        )
        for name in ("reference", "nothing")
    ]
    kinds = [
        Case(
            f"ceiling {name} x{USUAL_DEPTH}",
            "debit",
            f"debits with dimensions, {_KINDS[name]}",
            ceiling(name, USUAL_DEPTH),
        )
        for name in TAGGED
    ]
    return found + scripts + kinds


def _ours() -> list[Case]:
    def ours(
        workload: str,
        clients: int = SATURATING,
        unit: str = "",
        accounts: int = ACCOUNTS,
        kind: str = USUAL,
    ) -> Run:
        return lambda lab: of_load(
            lab.load(lab.quiet, workload, clients, accounts=accounts, kind=kind), unit
        )

    def saturated(lab: Lab) -> Result:
        return of_load(lab.saturate())

    debit = "Debit without a hold"
    pair = "Authorize, then the Debit of its hold"
    return [
        Case("debit 1", "debit", f"{debit}, one client", ours("debit", 1)),
        Case("debit saturated", "debit", debit, saturated),
        Case("debit half", "debit", f"{debit}, open loop at half of that rate", _at(1 / 2)),
        Case("debit quarter", "debit", f"{debit}, open loop at a quarter of that rate", _at(1 / 4)),
        Case("debit hot", "debit", f"{debit}, all of one account", ours("debit", accounts=1)),
        *(
            Case(
                f"debit {name}",
                "debit",
                f"Debit with three dimensions, {_KINDS[name]}",
                ours("tagged", kind=kind),
            )
            for name, kind in TAGGED.items()
        ),
        Case(
            "usage saturated",
            "debit",
            "Debit of a usage that is priced, with three dimensions",
            ours("usage"),
        ),
        Case("pair 1", "pair", f"{pair}, one client", ours("pair", 1, "settle")),
        Case("pair saturated", "pair", pair, ours("pair", unit="settle")),
        Case(
            "denial saturated",
            "denial",
            "Debit denied for lack of credits",
            ours("denial", accounts=POOR_ACCOUNTS, kind=POOR),
        ),
        Case(
            "replay saturated",
            "replay",
            "Debit that was made before",
            ours("replay", unit="replay"),
        ),
        Case("batch 16", "debit", "Batch of 16 debits", ours("batch-16", _BATCH_CLIENTS)),
        Case("batch 128", "debit", "Batch of 128 debits", ours("batch-128", _BATCH_CLIENTS)),
        Case("mixed", "call", "80 % Authorize and Debit in pairs, 20 % GetBalance", ours("mixed")),
    ]


def _with_flusher() -> list[Case]:
    def saturated(lab: Lab) -> Result:
        return of_load(lab.load(lab.busy, "debit"))

    what = "while the flusher runs"
    return [
        *(
            Case(
                f"debit {rate:,}/s, flushed",
                "debit",
                f"Debit without a hold, open loop at {rate:,}/s, {what}",
                _at_rate(rate),
            )
            for rate in RATES
        ),
        Case(
            "debit half, flushed",
            "debit",
            f"as `debit half`, at its rate, {what}",
            _at(1 / 2, busy=True),
        ),
        Case(
            "debit quarter, flushed",
            "debit",
            f"as `debit quarter`, at its rate, {what}",
            _at(1 / 4, busy=True),
        ),
        Case("debit saturated, flushed", "debit", f"as `debit saturated`, {what}", saturated),
        Case(
            "debit quarter, read",
            "debit",
            "as `debit quarter, flushed`, while pages of 1,000 entries are read from billing",
            _read,
        ),
    ]


def _at_rate(rate: int) -> Run:
    """Debits at so many a second beside a flusher; left out where that is too much to ask for."""

    def run(lab: Lab) -> Result:
        if not lab.saturation_per_s:
            lab.saturate()
        if rate > _SERVABLE * lab.saturation_per_s:
            return Result({})
        return of_load(lab.load(lab.busy, "debit", rate=rate))

    return run


def _read(lab: Lab) -> Result:
    """Debits at a quarter of saturation while somebody reads pages of the ledger in a loop."""
    if not lab.saturation_per_s:
        lab.saturate()
    rate = lab.saturation_per_s / 4
    with lab.reading() as readers:
        measured = lab.load(lab.busy, "debit", rate=rate, watch=lab.busy.watch | readers)
    result = of_load(measured)
    reading_s = sum(measured["cpu_s"][name] for name in readers)
    share = reading_s / measured["seconds"] / (os.cpu_count() or 1)
    of_reading = {"reading_share": share, "pages": lab.pages_read}
    return Result({**result.values, **of_reading}, result.latencies)


def _at(share: float, *, busy: bool = False) -> Run:
    """Debits at a share of the rate at which the gate without a flusher was last saturated."""

    def run(lab: Lab) -> Result:
        if not lab.saturation_per_s:
            lab.saturate()
        return of_load(
            lab.load(lab.busy if busy else lab.quiet, "debit", rate=lab.saturation_per_s * share)
        )

    return run


def _crowded() -> list[Case]:
    def memory(lab: Lab) -> Result:
        assert lab.crowded, "what fills the memory"
        return Result(lab.memory)

    def crowded(clients: int) -> Run:
        return lambda lab: of_load(
            lab.load(lab.crowded, "debit", clients, accounts=lab.options.accounts)
        )

    what = "among many accounts and open holds"
    return [
        Case("memory", "", "bytes in Redis", memory),
        Case("debit 1, crowded", "debit", f"as `debit 1`, {what}", crowded(1)),
        Case(
            "debit saturated, crowded",
            "debit",
            f"as `debit saturated`, {what}",
            crowded(SATURATING),
        ),
    ]


def _sweeps() -> list[Case]:
    def sweep(lab: Lab) -> Result:
        null = lab.null(lab.transport)
        values = {}
        for clients in CLIENTS:
            servers: dict[str, Stack | Server] = {
                "ours": lab.quiet,
                "naive": lab.naive,
                "null": null,
            }
            for name, server in servers.items():
                workload = "null" if server is null else "debit"
                measured = lab.load(server, workload, clients, seconds=lab.options.seconds / 4)
                values[f"{name}/{clients}"] = of_load(measured).values["per_s"]
                lab.tidy()
        return Result(values)

    return [Case(SWEEP, "call", "throughput by calls in flight", sweep)]


def _upkeep() -> list[Case]:
    def sqlite(lab: Lab) -> Result:
        return Result(flush(*lab.on_sqlite, lab.options.backlog))

    def postgresql(lab: Lab) -> Result:
        return Result(flush(*lab.on_postgresql, lab.options.backlog))

    def start(_: Lab) -> Result:
        return Result(start_up())

    return [
        Case(
            "flusher SQLite", "row", "a backlog of debits into SQLite, nothing else running", sqlite
        ),
        Case(
            "flusher PostgreSQL",
            "row",
            "a backlog of debits into PostgreSQL, nothing else running",
            postgresql,
        ),
        Case("start", "start", "`creditgate up` until it is ready", start),
    ]
