"""What running processes do with tokens: batches, revocation, rotation, and who did it."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gate.access.roles import Role
from gate.cli.app import main
from gate.client import CallFailed
from gate.client import Client as PythonClient
from gate.token_text import new_token
from gate.v1.gate_pb2 import BatchRequest, GetBalanceRequest
from meter.v1.accounts_pb2 import Grant, GrantCreditsRequest, ListAccountsRequest
from meter.v1.ledger_pb2 import ListEntriesRequest
from support.customer import new_id
from support.doors import HTTP, TRANSPORTS, Doors, reason_of
from support.scraping import Metrics
from support.servers import wait_until
from support.stack import Client

pytest_plugins = ("support.running_doors",)


@pytest.fixture
def root(doors: Doors) -> Iterator[Client]:
    """A client of an administrator."""
    client = doors.client("native", doors.tokens["admin"])
    yield client
    client.close()


@pytest.mark.parametrize("transport", [*TRANSPORTS, HTTP])
def test_items_about_foreign_accounts_fail_alone(
    doors: Doors, root: Client, transport: str
) -> None:
    for account_id in ("own-batch", "batch-foreign"):
        root.open_account(account_id, "1")
    client = doors.client(transport, doors.tokens["scoped"])
    batch = BatchRequest()
    for account_id in ("batch-foreign", "own-batch", "batch-foreign", "own-unknown"):
        batch.items.add().get_balance.account_id = account_id
    batch.items.add()
    results = client.gate.Batch(batch).results
    outcomes = [result.WhichOneof("result") for result in results]
    assert outcomes == ["error", "get_balance", "error", "error", "error"]
    assert results[1].get_balance.account_id == "own-batch"
    for index, word in enumerate(
        ("certain accounts", "", "certain accounts", "account_id", "item")
    ):
        assert word in results[index].error.message
    only_foreign = BatchRequest(items=batch.items[:1])
    assert [each.WhichOneof("result") for each in client.gate.Batch(only_foreign).results] == [
        "error"
    ]
    client.close()


def test_a_revoked_token_is_refused_and_no_other_call_is_disturbed(
    doors: Doors, root: Client
) -> None:
    revoked = doors.new_token("revoked", Role.READ)
    doors.wait_until_known(revoked)
    outcomes: list[str] = []
    is_over = threading.Event()

    def keep_calling() -> None:
        while not is_over.is_set():
            outcomes.append(reason_of(root.accounts.ListAccounts, ListAccountsRequest()))

    caller = threading.Thread(target=keep_calling)
    caller.start()
    doors.file.write([each for each in doors.file.read() if each.name != "revoked"])
    doors.wait_until_known(revoked, False)
    is_over.set()
    caller.join()
    assert set(outcomes) == {"OK"}


def test_a_wrong_file_changes_nothing_and_is_told(doors: Doors, root: Client) -> None:
    right = doors.file.path.read_bytes()
    metrics = Metrics(doors.metrics_port)
    failed = metrics.value("creditgate_token_file_reads_total", outcome="failed")
    doors.file.path.write_text("tokens: nobody")
    wait_until(
        lambda: metrics.value("creditgate_token_file_reads_total", outcome="failed") > failed
    )
    assert reason_of(root.accounts.ListAccounts, ListAccountsRequest()) == "OK"
    doors.file.path.write_bytes(right)


def test_rejected_tokens_are_counted_by_why_and_told_in_no_other_way(doors: Doors) -> None:
    metrics = Metrics(doors.metrics_port)
    unknown = new_token()
    bearers = {
        "missing": "",
        "unknown": unknown,
        "expired": doors.tokens["expired"],
        "role": doors.tokens["finance"],
        "account": doors.tokens["scoped"],
    }
    counted = {why: metrics.value("creditgate_rejected_tokens_total", why=why) for why in bearers}
    with capture_logs() as logs:
        for token in bearers.values():
            client = doors.client("native", token)
            batch = BatchRequest()
            batch.items.add().get_balance.account_id = "foreign"
            reason_of(client.gate.Batch, batch)
            client.close()
    for why, before in counted.items():
        assert metrics.value("creditgate_rejected_tokens_total", why=why) == before + 1, why
    shown = metrics.text() + repr(logs)
    assert not [token for token in (unknown, *doors.tokens.values()) if token and token in shown]


def test_the_ledger_and_the_log_keep_who_made_a_change(doors: Doors, root: Client) -> None:
    root.open_account("audited", "1")
    finance = doors.client("grpcio", doors.tokens["finance"])
    request = GrantCreditsRequest(
        account_id="audited", request_id=new_id(), grant=Grant(amount_nanos=5)
    )
    with capture_logs() as logs:
        finance.accounts.GrantCredits(request)
        root.accounts.GrantCredits(request)  # a repeat: the first one stays who did it
        reader = doors.client("native", doors.tokens["read"])
        reason_of(reader.accounts.GrantCredits, request)
    told = [(each["caller"], each["outcome"]) for each in logs if each.get("event") == "admin_call"]
    assert told == [("finance", "OK"), ("admin", "OK"), ("read", "FORBIDDEN")]
    entries = reader.ledger.ListEntries(ListEntriesRequest(account_id="audited")).entries
    assert [entry.actor for entry in entries] == ["finance", "admin"]
    finance.close()
    reader.close()


def test_a_command_sends_its_token_and_without_one_is_told_what_it_needs(
    doors: Doors, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in doors.environment("grpcio").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["creditgate", "account", "list"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    monkeypatch.delenv("CREDITGATE_TOKEN")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "CREDITGATE_TOKEN_FILE" in capsys.readouterr().err


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_python_client_sends_its_token_and_reads_a_changed_file_again(
    doors: Doors, root: Client, transport: str, tmp_path: Path
) -> None:
    root.open_account("own-client", "1")
    kept = tmp_path / "token"
    kept.write_text(f"{doors.tokens['expired']}\n")
    with PythonClient(doors.gates[transport], token=doors.tokens["gate"]) as client:
        assert client.get_balance(account_id="own-client").account_id == "own-client"
    with PythonClient(doors.gates[transport], token_file=kept) as client:
        with pytest.raises(CallFailed) as caught:
            client.get_balance(account_id="own-client")
        assert caught.value.reason == "UNAUTHENTICATED"
        kept.write_text(doors.tokens["gate"])
        assert client.get_balance(account_id="own-client").account_id == "own-client"


def test_a_client_refuses_what_is_no_token(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a token is cg_"):
        PythonClient("127.0.0.1:1", token="secret")
    with pytest.raises(ValueError, match="not both"):
        PythonClient("127.0.0.1:1", token=new_token(), token_file=tmp_path)
    with pytest.raises(OSError, match="missing"):
        PythonClient("127.0.0.1:1", token_file=tmp_path / "missing")


def test_what_waits_for_a_token_asks_for_nothing_else(doors: Doors) -> None:
    """A stranger learns nothing of what is wrong with his request, nor whether an account exists."""
    client = doors.client("native", "")
    for account_id in ("audited", "no such account", ""):
        request = GetBalanceRequest(account_id=account_id)
        assert reason_of(client.gate.GetBalance, request) == "UNAUTHENTICATED"
    client.close()
