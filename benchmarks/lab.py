"""What is measured and what measures: servers, each started when a case first asks for it, and the
generator.
"""

import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import commands
import naive
import null_rpc
from commands import Supply
from flushing import postgresql
from load import Plan
from memory import crowd
from population import KINDS, USUAL, clear_journals, forget_replays, populate, rewrite_aof
from processes import HERE, Failed, Stack, running_script, running_stack
from reading import reading
from templates import account_id
from workloads import debit

Measured = dict[str, Any]  # as load.py prints it

ACCOUNTS = 1000
CONNECTIONS = 4
SATURATING = 512  # calls in flight that saturate the service: as many as the deepest ceiling has
TAGGED = {
    "tagged": USUAL,
    "5 grants": "many",
    "1 budget": "bud1",
    "4 budgets": "bud4",
}  # debits with dimensions, by kind of account


@dataclass(frozen=True, slots=True)
class Options:
    """How much to do."""

    seconds: float
    accounts: int  # where there are many
    open_holds: int
    backlog: int  # entries for the flusher to flush


@dataclass(frozen=True, slots=True)
class Server:
    """Something that answers calls."""

    address: tuple[str, int]
    watch: dict[str, int]


class Lab:
    """Open with `with`; ends everything it started."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._opened = ExitStack()
        self._nulls: dict[str, Server] = {}
        self.memory: dict[str, float] = {}
        self.saturation_per_s = 0.0  # as last measured
        self.pages_read = 0  # in the last `reading`

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @cached_property
    def quiet(self) -> Stack:
        """A gate without a flusher, with accounts of every kind."""
        return self._populated(kinds=KINDS)

    @cached_property
    def busy(self) -> Stack:
        """A gate beside which a flusher runs."""
        stack = self._populated()
        stack.start_flusher()
        return stack

    @cached_property
    def crowded(self) -> Stack:
        """A gate with many accounts and many open holds; `memory` is filled in on the way."""
        stack = self._opened.enter_context(running_stack())
        self.memory = crowd(
            stack, self.options.accounts, self.options.open_holds, self.options.backlog
        )
        return stack

    @cached_property
    def on_sqlite(self) -> tuple[Stack, Supply]:
        """A stack for the flusher alone, and debits for it."""
        stack = self._populated()
        return stack, commands.debits(stack)

    @cached_property
    def on_postgresql(self) -> tuple[Stack, Supply]:
        """The same with PostgreSQL for the ledger."""
        stack = self._populated(self._opened.enter_context(postgresql()))
        return stack, commands.debits(stack)

    @cached_property
    def naive(self) -> Server:
        """The naive design, on the quiet stack's Valkey."""
        settings = self.quiet.settings
        command = naive.command_of(commands.sample(self.quiet, debit()), settings.shards)
        address, pid = self._opened.enter_context(
            running_script("naive.py", settings.redis_url, command)
        )
        return Server(address, {"service": pid, "redis": self.quiet.valkey.pid})

    def null(self, transport: str) -> Server:
        """The null RPC on a transport."""
        if transport not in self._nulls:
            address, pid = self._opened.enter_context(running_script("null_rpc.py", transport))
            self._nulls[transport] = Server(address, {"service": pid})
        return self._nulls[transport]

    @cached_property
    def supplies(self) -> dict[str, Supply]:
        """Commands for the quiet stack's Valkey."""
        quiet = self.quiet
        own = {name: commands.of_script(quiet, name) for name in ("nothing", "reference")}
        tagged = {name: commands.tagged_debits(quiet, kind) for name, kind in TAGGED.items()}
        return {"debit": commands.debits(quiet), "pair": commands.pairs(quiet)} | tagged | own

    @cached_property
    def transport(self) -> str:
        """The one that the gate serves by."""
        return null_rpc.transports()[-1]

    def saturate(self) -> Measured:
        """Debits without a hold on the quiet stack, as many as it takes."""
        measured = self.load(self.quiet, "debit")
        self.saturation_per_s = measured["ended"]["debit"] / measured["seconds"]
        return measured

    @contextmanager
    def reading(self) -> Iterator[dict[str, int]]:
        """Has a page of the busy stack's ledger read in a loop meanwhile.

        Yields the processes that this takes, by name. The first account has a page's entries.
        """
        stack = self.busy
        if not self.pages_read:
            self.load(stack, "debit", accounts=1, seconds=1)
        with stack.running_billing() as billing:
            with reading(stack, account_id(0).decode()) as reader:
                yield {"billing": billing.pid, "reader": reader.pid}
            self.pages_read = int(reader.printed.rpartition(" ")[2])

    def load(
        self, target: Stack | Server, workload: str, clients: int = SATURATING, **plan: Any
    ) -> Measured:
        """Runs the generator against a server: so many calls in flight, or at the `rate` that is
        given.

        Failed if any answer was wrong.
        """
        host, port = target.address
        connections = min(clients, CONNECTIONS)
        usual = {
            "connections": connections,
            "streams": clients // connections,
            "seconds": self.options.seconds,
            "warm_up_s": min(0.5, self.options.seconds / 4),
            "watch": target.watch,
        }
        return run_load(Plan(host, port, workload, **usual | plan))

    def tidy(self) -> None:
        """After each case: what no flusher takes away. And each is to begin with a short AOF, so
        that none is rewritten while somebody measures.
        """
        for name in ("quiet", "crowded"):
            if name in self.__dict__:
                clear_journals(self.__dict__[name])
        for name in ("quiet", "busy"):
            if name in self.__dict__:
                forget_replays(self.__dict__[name])
                rewrite_aof(self.__dict__[name])

    def _populated(self, ledger_url: str = "", kinds: Collection[str] = (USUAL,)) -> Stack:
        stack = self._opened.enter_context(running_stack(ledger_url))
        populate(stack, ACCOUNTS, kinds)
        return stack


def run_load(plan: Plan) -> Measured:
    """One run of the generator, in a process of its own."""
    words = [sys.executable, str(HERE / "load.py"), json.dumps(asdict(plan))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"the generator for {plan.workload} ended: {done.stderr}")
    result: Measured = json.loads(done.stdout)
    if result["failures"] or result["unanswered"]:
        wrong = f"{result['failures']} wrong answers, {result['unanswered']} missing"
        raise Failed(f"{plan.workload}: {wrong}: {'; '.join(result['examples'])}")
    return result
