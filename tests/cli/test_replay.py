"""`creditgate replay`: a trace of requests, driven through the gate and counted."""

from pathlib import Path

import pytest

from support.customer import CREDIT, Customer, new_id
from support.stack import Client
from support.terminal import ONE_TRANSPORT, Creditgate, Done

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

ROWS = [(1000 + 37 * n, 5 * n) for n in range(40)]  # tokens in and out


def price_nanos(rows: list[tuple[int, int]]) -> int:
    """At the price of `tiny`."""
    return sum(tokens_in * 1000 + tokens_out * 2000 for tokens_in, tokens_out in rows)


SPENT = price_nanos(ROWS)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    lines = [
        f"2023-11-16 18:15:46.{number:07},{tokens_in},{tokens_out}"
        for number, (tokens_in, tokens_out) in enumerate(ROWS)
    ]
    return written(tmp_path, *lines)


def written(folder: Path, *lines: str) -> Path:
    path = folder / "trace.csv"
    path.write_text("\n".join(("TIMESTAMP,ContextTokens,GeneratedTokens", *lines)) + "\n")
    return path


def figures(done: Done) -> dict[str, str]:
    """The table at the end, by its first column."""
    assert (done.status, done.err) == (0, "")
    pairs = [line.strip().split("  ", 1) for line in done.out.splitlines() if "  " in line.strip()]
    return {name: value.strip() for name, value in pairs}


def test_a_trace_is_charged_to_the_nano(
    creditgate: Creditgate, client: Client, trace: Path
) -> None:
    name = new_id()
    shown = figures(creditgate(f"replay {trace} --model tiny --account {name} --credits 10"))
    assert shown["requests"] == "40"
    assert shown["input tokens"] == f"{sum(row[0] for row in ROWS):,}"
    assert shown["output tokens"] == f"{sum(row[1] for row in ROWS):,}"
    assert shown["credits charged"] == "0.07666" == f"{SPENT / CREDIT:.5f}"
    assert {"took", "Authorize p50 / p99", "Debit p50 / p99"} <= shown.keys()
    customer = Customer(client, name)
    assert customer.balance().remaining_nanos == 10 * CREDIT - SPENT
    assert customer.balance().held_nanos == 0
    assert customer.invoice().total_nanos == SPENT


def test_a_trace_is_spread_over_accounts(
    creditgate: Creditgate, client: Client, trace: Path
) -> None:
    name = new_id()
    done = creditgate(
        f"replay {trace} --model tiny --account {name} --accounts 3 --limit 30"
        " --currency USD --credits 1 --concurrency 4"
    )
    assert figures(done)["requests"] == "30"
    spent = [CREDIT - client.balance(f"{name}-{number}").remaining_nanos for number in (1, 2, 3)]
    assert sum(spent) == price_nanos(ROWS[:30])
    assert all(spent)


def test_what_cannot_be_afforded_is_counted_by_reason(
    creditgate: Creditgate, client: Client, trace: Path
) -> None:
    name = new_id()
    client.open_account(name, "0.01")
    options = f"--model tiny --account {name} --concurrency 1 --estimate 200"
    shown = figures(creditgate(f"replay {trace} {options}"))
    denied = int(shown["denied: INSUFFICIENT_CREDITS"])
    assert 0 < denied < 40
    assert client.balance(name).total_credits_nanos == CREDIT // 100, (
        "an account that exists is granted nothing"
    )
    assert len(Customer(client, name).entries()) == 1 + 40 - denied


def test_a_run_repeated_under_its_id_takes_effect_once_and_a_new_one_again(
    creditgate: Creditgate, client: Client, trace: Path
) -> None:
    name = new_id()
    line = f"replay {trace} --model tiny --account {name}"
    for _ in range(2):
        figures(creditgate(f"{line} --credits 1 --run-id {name}-run"))
        assert client.balance(name).remaining_nanos == CREDIT - SPENT
    figures(creditgate(f"{line} --credits 2"))
    assert client.balance(name).remaining_nanos == CREDIT - 2 * SPENT


def test_the_traces_own_pace_is_kept_at_a_speed(creditgate: Creditgate, tmp_path: Path) -> None:
    trace = written(tmp_path, "2023-11-16 18:00:00,10,1", "2023-11-16 18:01:00,10,1")
    line = f"replay {trace} --model tiny --account {new_id()} --speed 600"
    shown = figures(creditgate(line))
    assert float(shown["took"].removesuffix(" s")) >= 0.1


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (("2023-11-16 18:15:46,1",), "line 2: '2023-11-16 18:15:46,1' is not of the form"),
        (("2023-11-16 18:15:46,1,1", "2023-11-16 18:15:47,1,1,1"), "line 3: "),
        (("yesterday,1,1",), "line 2: "),
        (("2023-11-16 18:15:46,1.5,1",), "line 2: "),
        (("2023-11-16 18:15:46,,1",), "line 2: "),
        (("2023-11-16 18:15:46,1,1", "2023-11-16 18:15:46+00:00,1,1"), "line 3: "),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_sent(
    creditgate: Creditgate, client: Client, tmp_path: Path, lines: tuple[str, ...], says: str
) -> None:
    done = creditgate(f"replay {written(tmp_path, *lines)} --account never-opened")
    assert (done.status, done.out) == (1, "")
    assert says in done.err
    assert done.err.count("\n") == 1
    assert "ACCOUNT_NOT_FOUND" in creditgate("balance never-opened").err


def test_what_is_no_trace_at_all_is_refused(creditgate: Creditgate, tmp_path: Path) -> None:
    path = tmp_path / "other"
    for content in (b"", b"a,b,c\n1,2,3\n", b"\x1f\x8b\x08\x00\xff\xfe\x00"):
        path.write_bytes(content)
        done = creditgate(f"replay {path}")
        assert "the first line must be TIMESTAMP,ContextTokens,GeneratedTokens" in done.err
    assert "No such file" in creditgate(f"replay {tmp_path}/none.csv").err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--model no-such-model", "UNKNOWN_MODEL"),
        ("--model tiny --account 'a b'", "ACCOUNT: "),
        ("--model tiny --currency EUR", "CURRENCY_MISMATCH"),
        ("--credits much", "such as 25 or 0.25"),
    ],
)
def test_what_the_gate_refuses_ends_the_replay_with_one_line(
    creditgate: Creditgate, trace: Path, options: str, says: str
) -> None:
    done = creditgate(f"replay {trace} --account {new_id()} {options}")
    assert (done.status, done.out) == (1, "")
    assert says in done.err
    assert done.err.count("\n") == 1
