"""`make demo`: the main job, end to end, on a data directory of its own.

Ends by itself; the exit status is 0 if all went well.
"""

import csv
import os
import random
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo_receivers import Received, receivers

from gate.client import ALLOWED, Client
from gate.v1.gate_pb2 import DebitResponse, Reason
from meter.money import format_credits, parse_credits

CREDITGATE = str(Path(sys.executable).parent / "creditgate")
ROWS = 400


def main() -> int:
    """Starts Creditgate, spends an account beyond its credits, shows the books, and stops."""
    with tempfile.TemporaryDirectory(prefix="creditgate-demo-") as folder, receivers() as received:
        trace = Path(folder) / "trace.csv"
        write_trace(trace)
        environment = os.environ | {
            "CREDITGATE_DATA_DIR": f"{folder}/data",
            "CREDITGATE_LISTEN": f"127.0.0.1:{free_port()}",
            "CREDITGATE_BILLING_LISTEN": f"127.0.0.1:{free_port()}",
            "CREDITGATE_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
            "CREDITGATE_LOG_LEVEL": "warning",
            "CREDITGATE_WEBHOOK_ALLOW": "127.0.0.1/32",
            "CREDITGATE_SMTP_URL": f"smtp://127.0.0.1:{received.mail_port}",
            "CREDITGATE_MAIL_FROM": "billing@example.com",
        }
        print("$ creditgate up &")
        service = subprocess.Popen(
            [CREDITGATE, "up"], env=environment, stdout=subprocess.PIPE, text=True
        )
        try:
            wait_until_ready(service)
            tour(environment, trace, received)
        finally:
            service.terminate()
            stopped = service.wait(60)
        print(f"$ kill %1   # drained and stopped, exit status {stopped}")
        return stopped


def tour(environment: dict[str, str], trace: Path, received: Received) -> None:
    """The commands that a new user would type."""

    def run(comment: str, *words: str) -> None:
        command = shlex.join(["creditgate", *words]).replace(str(trace), "trace.csv")
        print(f"\n# {comment}\n$ {command}", flush=True)
        subprocess.run([CREDITGATE, *words], env=environment, check=True)

    run(
        "An account that may go 5 credits below zero, and use 28 a day.",
        "account",
        "create",
        "acme",
        "--currency",
        "USD",
        "--overage",
        "5",
        "--daily-limit",
        "28",
    )
    run("Credits to spend.", "grant", "acme", "25", "--description", "first top-up")
    run(
        f"A gateway at work: {ROWS} requests, each authorized on an estimate and debited as used."
        " The credits run out, the overage protection carries on, then the daily limit ends it.",
        "replay",
        str(trace),
        "--account",
        "acme",
        "--model",
        "gpt-4o",
    )
    run("What is left.", "balance", "acme")
    run("The newest lines of the balance history.", "entries", "acme", "--limit", "6")
    run("Usage by day.", "usage", "acme")
    run("The invoice. Its lines add up to the nano.", "invoice", "create", "acme")
    run("The books, recomputed and compared with the gate.", "check")
    credit_model(environment, run, received)
    money_in(environment, run)
    run("The books once more, with all of that in them.", "check")


def credit_model(
    environment: dict[str, str],
    run: Callable[..., None],
    received: Received,
) -> None:
    """Credits that expire, budgets, thresholds and grace, on an account of their own."""
    run(
        "An account without overage protection. Inbound traffic may go on for ten minutes, and for"
        " 3 credits, after credits have run out; an event is raised when 2 are left.",
        "account",
        "create",
        "nova",
        "--currency",
        "USD",
        "--threshold",
        "low=low-balance:2",
        "--grace",
        "inbound=10m,3",
    )
    tell_somebody(run, received)
    run(
        "A purchase, and a voucher whose credits live 30 days.",
        "top-up",
        "create",
        "nova",
        "10",
        "--reference",
        "pi_3Nq",
        "--method",
        "card",
    )
    code = voucher(environment)
    run("Its code is redeemed once, by whoever has it.", "voucher", "redeem", "nova", code)
    run(
        "The interns' project may use 1 credit a day.",
        "budget",
        "set",
        "nova",
        "interns",
        "1",
        "--scope",
        "project=interns",
        "--window",
        "daily",
        "--threshold",
        "most=80%",
    )
    print("\n# A gateway's calls, by the Python client.")
    with Client(environment["CREDITGATE_LISTEN"]) as client:

        def debit(credits: str, comment: str, **fields: Any) -> None:
            words = "".join(f", {name}={value!r}" for name, value in fields.items())
            nanos = parse_credits(credits)
            call = f"client.debit(account_id='nova', amount_nanos={nanos}{words})"
            print(f">>> {call}  # {comment}")
            reply = client.debit(account_id="nova", amount_nanos=nanos, **fields)
            print(f"    {outcome(reply)}")

        interns = {"dimensions": {"project": "interns"}}
        debit("0.9", "an intern's request", **interns)
        debit("0.2", "another: too much for today's budget", **interns)
        debit("11.1", "somebody else's, beyond what the voucher has left")
        debit("2", "the rest")
        debit("1", "credits have run out")
        debit("1", "inbound traffic goes on for a while", traffic_class="inbound")
    run("The voucher expires, so it was burned first.", "grants", "nova", "--all")
    run("Each line of the history names the credits that it burned.", "entries", "nova")
    run("What happened that somebody may want to be told of, each once.", "events", "nova")
    received.show()
    run("A grace that has begun is part of the balance.", "balance", "nova")


def money_in(environment: dict[str, str], run: Callable[..., None]) -> None:
    """A card, a purchase, and credits that refill themselves until the card is declined."""
    run(
        "An account that pays by card. The provider `test` simulates payments.",
        *("account", "create", "vega", "--currency", "USD"),
    )
    run("A card is saved.", "payment-method", "add", "vega", "--test-method", "test_visa")
    run("Credits are bought.", "top-up", "buy", "vega", "25")
    run(
        "Below 10 credits, 25 more are bought.",
        *("auto-recharge", "set", "vega", "--below", "10", "--amount", "25"),
        *("--monthly-limit", "200", "--set-by", "ada"),
    )
    with Client(environment["CREDITGATE_LISTEN"]) as client:
        drain(client, "20")
        wait_for(environment, "auto-recharge", "list", "vega", state="succeeded")
        run("The balance has refilled itself.", "auto-recharge", "list", "vega")
        run(
            "Another card becomes the default.",
            *("payment-method", "add", "vega", "--default", "--test-method", "test_stolen"),
        )
        drain(client, "25")
    wait_for(environment, "auto-recharge", "show", "vega", state="suspended")
    run("That card was declined: nothing more is charged.", "auto-recharge", "show", "vega")
    run("All payments.", "payments", "vega")


def drain(client: Client, credits: str) -> None:
    """Spends credits of the account that pays by card."""
    nanos = parse_credits(credits)
    print(f"\n>>> client.debit(account_id='vega', amount_nanos={nanos})")
    print(f"    {outcome(client.debit(account_id='vega', amount_nanos=nanos))}")


def wait_for(environment: dict[str, str], *words: str, state: str) -> None:
    """Returns once a command prints the state; SystemExit after 20 s."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        told = subprocess.run(
            [CREDITGATE, *words], env=environment, check=True, capture_output=True, text=True
        )
        if state in told.stdout:
            return
    raise SystemExit(f"creditgate {shlex.join(words)} does not tell {state}")


def tell_somebody(run: Callable[..., None], received: Received) -> None:
    """Has a webhook and mails tell of the account's events."""
    run(
        "A receiver of this machine is told of thresholds and of credits that ran out,",
        "webhook",
        "add",
        f"http://127.0.0.1:{received.webhook_port}/hook",
        "--account",
        "nova",
        "--type",
        "threshold.crossed",
        "--type",
        "credits.exhausted",
    )
    run(
        "and so is a person, by mail.",
        "account",
        "update",
        "nova",
        "--alert-email",
        "ops@example.com",
    )


def voucher(environment: dict[str, str]) -> str:
    """A new voucher's code."""
    words = ["voucher", "create", "launch", "4", "--live", "30d"]
    print(f"\n$ {shlex.join(['creditgate', *words])}", flush=True)
    made = subprocess.run(
        [CREDITGATE, *words], env=environment, check=True, capture_output=True, text=True
    )
    print(made.stdout, end="")
    return made.stdout.split()[0]


def outcome(reply: DebitResponse) -> str:
    """A reply in a few words."""
    left = f"{format_credits(reply.balance.remaining_nanos)} remaining"
    if reply.decision == ALLOWED:
        return f"allowed{' in grace' if reply.in_grace else ''}, {left}"
    denial = reply.denial
    budget = (
        f" by budget {denial.budget.budget_id}: {format_credits(denial.budget.left_nanos)} left"
        if denial.HasField("budget")
        else ""
    )
    heals = f" until {denial.resets_at.ToJsonString()}" if denial.HasField("resets_at") else ""
    return f"denied: {Reason.Name(denial.reason)}{budget}{heals}, {left}"


def write_trace(path: Path) -> None:
    """A made-up trace of a coding assistant: long contexts, short answers."""
    random_source = random.Random(2023)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["TIMESTAMP", "ContextTokens", "GeneratedTokens"])
        for _ in range(ROWS):
            moment += timedelta(seconds=random_source.expovariate(2))
            stamp = f"{moment:%Y-%m-%d %H:%M:%S.%f}0"
            context_tokens = random_source.randint(5_000, 60_000)
            generated_tokens = random_source.randint(50, 900)
            rows.writerow([stamp, context_tokens, generated_tokens])


def wait_until_ready(service: subprocess.Popen[str]) -> None:
    """Returns when the service says so; raises if it ends instead."""
    assert service.stdout is not None
    for line in service.stdout:
        print(line, end="", flush=True)
        if "ready" in line:
            return
    raise SystemExit(f"creditgate up ended with {service.wait()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
