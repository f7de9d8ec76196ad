"""The services over HTTP: Connect's unary protocol, and /v1 with its status codes."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import openapi_spec_validator
import pytest

from gate.access.roles import Role
from gate.web.v1 import BALANCE_ENDPOINT, ENDPOINTS
from support.connect_client import Http
from support.customer import CREDIT, Customer, new_customer, new_id
from support.doors import Doors
from support.pages import ROOT
from support.scraping import Metrics
from support.stack import Client, free_address

pytest_plugins = ("support.running_doors",)

MOST_BYTES = 4 * 1024 * 1024
NOBODY = {"account_id": "nobody", "request_id": "r"}


@pytest.fixture
def root(doors: Doors) -> Iterator[Client]:
    """A client of an administrator, by gRPC."""
    client = doors.client("native", doors.tokens["admin"])
    yield client
    client.close()


@pytest.fixture
def http(doors: Doors) -> Iterator[Http]:
    """An administrator's HTTP."""
    http = Http(doors.http, doors.tokens["admin"])
    yield http
    http.close()


@pytest.fixture
def customer(root: Client) -> Customer:
    return new_customer(root, "10")


def asks(customer: Customer, **fields: Any) -> dict[str, Any]:
    return {"account_id": customer.account_id, "request_id": new_id(), **fields}


def test_a_request_is_authorized_debited_and_repeated(http: Http, customer: Customer) -> None:
    hold = http.post("/v1/authorize", asks(customer, amount_nanos=str(CREDIT)))
    assert (hold.status, hold.json["decision"]) == (200, "ALLOWED")
    assert hold.json["held_nanos"] == str(CREDIT), "int64 are text"
    assert "idempotent-replayed" not in hold.headers
    debit = asks(customer, amount_nanos=5, hold_id=hold.json["hold_id"])
    key = debit.pop("request_id")
    first = http.post("/v1/debit", debit, Idempotency_Key=key)
    again = http.post("/v1/debit", debit, Idempotency_Key=key)
    assert first.json["charged_nanos"] == again.json["charged_nanos"] == "5"
    assert again.headers["idempotent-replayed"] == "true"
    balance = http.ask("GET", f"/v1/accounts/{customer.account_id}/balance")
    assert balance.json["balance"]["remaining_nanos"] == str(10 * CREDIT - 5)


def test_an_account_of_any_name_has_its_balance(http: Http, root: Client) -> None:
    root.open_account("a/b%2F/balance", "1")
    path = "/v1/accounts/a%2Fb%252F%2Fbalance/balance"
    assert http.ask("GET", path).json["account_id"] == "a/b%2F/balance"


def test_holds_estimates_and_batches_are_asked_for_alike(http: Http, customer: Customer) -> None:
    hold = http.post("/v1/authorize", asks(customer, amount_nanos=5)).json["hold_id"]
    extended = http.post("/v1/extend", asks(customer, hold_id=hold, amount_nanos=5))
    assert extended.json["held_nanos"] == "10"
    assert http.post("/v1/release", asks(customer, hold_id=hold)).json["released_nanos"] == "10"
    usage = {"model": "gpt-4o", "input_tokens": 1000}
    assert int(http.post("/v1/estimate", {"usage": usage}).json["cost_nanos"]) > 0
    items = [{"debit": asks(customer, amount_nanos=1)}, {"release": asks(customer, hold_id=hold)}]
    results = http.post("/v1/batch", {"items": items}).json["results"]
    assert [*results[0]] == ["debit"]
    assert results[1]["error"]["code"] == 5, "of gRPC: NOT_FOUND"


@pytest.mark.parametrize(
    ("settings", "request_of", "status", "reason", "retries"),
    [
        ({}, {}, 402, "INSUFFICIENT_CREDITS", False),
        ({"status": "SUSPENDED"}, {}, 403, "ACCOUNT_SUSPENDED", False),
        ({"daily_limit_nanos": 3}, {"amount_nanos": 2}, 429, "DAILY_LIMIT_EXCEEDED", True),
        ({"budget": "MONTHLY"}, {"amount_nanos": 2}, 429, "BUDGET_EXCEEDED", True),
        ({"budget": "LIFETIME"}, {"amount_nanos": 2}, 402, "BUDGET_EXCEEDED", False),
    ],
)
def test_a_denial_is_a_problem_with_the_status_that_its_reason_calls_for(
    http: Http,
    customer: Customer,
    settings: dict[str, Any],
    request_of: dict[str, Any],
    status: int,
    reason: str,
    retries: bool,
) -> None:
    window = settings.get("budget")
    if window:
        customer.set_budget("ada", 3, {"user": "ada"}, window=window)
    elif settings:
        customer.update(**settings)
    if request_of:  # what is used up now comes back with time, or never
        customer.debit(2, dimensions={"user": "ada"})
    wanted = {"amount_nanos": 100 * CREDIT, "dimensions": {"user": "ada"}} | request_of
    denied = http.post("/v1/authorize", asks(customer, **wanted))
    assert denied.status == denied.json["status"] == status
    assert denied.headers["content-type"] == "application/problem+json"
    assert denied.json["title"] == denied.json["reason"] == reason
    assert denied.json["denial"]["reason"] == reason, "the whole reply stands in it"
    assert denied.headers["x-should-retry"] == "false"
    assert ("retry-after" in denied.headers) is retries
    assert not retries or int(denied.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("path", "content", "status", "reason"),
    [
        ("/v1/debit", {"account_id": "nobody", "request_id": "r", "amount_nanos": 1}, 404, "ACCOUNT_NOT_FOUND"),
        ("/v1/debit", {"account_id": "nobody"}, 400, "INVALID_FIELD"),
        ("/v1/debit", {"no_such_field": 1}, 400, "INVALID_FIELD"),
        ("/v1/debit", NOBODY | {"amount_nanos": 5.0}, 400, "INVALID_FIELD"),
        ("/v1/debit", NOBODY | {"amount_nanos": 9007199254740993.0}, 400, "INVALID_FIELD"),
        ("/v1/debit", NOBODY | {"amount_nanos": 2**63}, 400, "INVALID_FIELD"),
        ("/v1/debit", {"description": "\ud800"}, 400, "INVALID_FIELD"),
        ("/v1/debit", [], 400, "INVALID_FIELD"),
        ("/v1/batch", {"items": []}, 400, "INVALID_FIELD"),
        ("/v1/estimate", {"usage": {"model": "no-such-model"}}, 400, "UNKNOWN_MODEL"),
    ],
)  # fmt: skip
def test_an_error_is_a_problem_with_its_reason(
    http: Http, path: str, content: Any, status: int, reason: str
) -> None:
    answer = http.post(path, content)
    assert (answer.status, answer.json["reason"]) == (status, reason)
    assert answer.headers["content-type"] == "application/problem+json"


def test_states_in_which_a_call_cannot_be_made_are_told_apart(
    http: Http, customer: Customer
) -> None:
    debit = asks(customer, amount_nanos=1)
    http.post("/v1/debit", debit)
    reused = http.post("/v1/debit", debit | {"amount_nanos": 2})
    assert (reused.status, reused.json["field"]) == (409, "request_id")
    huge = http.post("/v1/debit", asks(customer, amount_nanos=2**63 - 1, incurred=True))
    assert (huge.status, huge.json["reason"]) == (422, "AMOUNT_OUT_OF_RANGE")
    other_key = http.post("/v1/debit", debit, Idempotency_Key="another")
    assert (other_key.status, other_key.json["field"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"amount_nanos": 1', b"\xff\xfe{}", b"[" * 100_000, b'{"request_id": "a", "request_id": "b"}', b'{"amount_nanos": NaN}'],
)  # fmt: skip
def test_a_body_that_is_no_whole_json_is_refused_and_nothing_is_done(
    http: Http, body: bytes
) -> None:
    answer = http.ask("POST", "/v1/debit", body, Content_Type="application/json")
    assert (answer.status, answer.json["field"]) == (400, "body")


def test_what_is_no_call_is_told_with_its_status(doors: Doors, http: Http) -> None:
    assert http.ask("POST", "/v1/debit", b"{}", Content_Type="text/plain").status == 415
    assert http.ask("GET", "/v1/debit").status == 405
    assert http.ask("GET", "/v2/debit").status == 404
    large = Http(doors.http, doors.tokens["admin"])
    assert large.post("/v1/debit", {"description": "x" * MOST_BYTES}).status == 413
    large.close()


def test_a_stranger_is_told_how_to_be_let_in(doors: Doors) -> None:
    stranger = Http(doors.http)
    refused = stranger.post("/v1/debit", {"account_id": "x"})
    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.json["reason"] == "UNAUTHENTICATED"
    assert stranger.ask("GET", "/healthz").json == {"status": "SERVING"}
    stranger.close()
    reader = Http(doors.http, doors.tokens[Role.READ])
    assert reader.post("/v1/debit", {"account_id": "x"}).status == 403
    reader.close()


def test_the_description_is_valid_and_has_every_endpoint(http: Http) -> None:
    document = http.ask("GET", "/openapi.json").json
    openapi_spec_validator.validate(document)
    assert document["paths"].keys() == {*ENDPOINTS, BALANCE_ENDPOINT}


def test_the_description_is_what_the_protos_say() -> None:
    generate = [sys.executable, str(ROOT / "scripts/gen_openapi.py"), "--check"]
    done = subprocess.run(generate, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_connect_speaks_json_in_the_names_of_its_clients(http: Http, customer: Customer) -> None:
    call = "/gate.v1.Gate/Authorize"
    asked = {"accountId": customer.account_id, "requestId": new_id(), "amountNanos": "5"}
    allowed = http.post(call, asked, Connect_Protocol_Version="1")
    assert (allowed.status, allowed.json["decision"]) == (200, "ALLOWED")
    assert allowed.json["heldNanos"] == "5"
    denied = http.post(call, asked | {"requestId": new_id(), "amountNanos": str(99 * CREDIT)})
    assert (denied.status, denied.json["decision"]) == (200, "DENIED")


def test_connect_tells_errors_with_code_and_details(http: Http) -> None:
    answer = http.post("/gate.v1.Gate/GetBalance", {"accountId": "nobody"})
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert {"google.rpc.ErrorInfo"} <= {each["type"] for each in answer.json["details"]}
    assert all(not each["value"].endswith("=") for each in answer.json["details"])


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"Content_Type": "text/plain"}, b"{}", 415, ""),
        ({"Content_Type": "application/json"}, b"{", 400, "invalid_argument"),
        ({"Content_Type": "application/proto"}, b"\xff", 400, "invalid_argument"),
        ({"Content_Type": "application/proto", "Content_Encoding": "gzip"}, b"", 501, "unimplemented"),
        ({"Content_Type": "application/proto", "Connect_Timeout_Ms": "0"}, b"\n\x06nobody", 504, "deadline_exceeded"),
        ({"Content_Type": "application/proto", "Connect_Timeout_Ms": "-1"}, b"", 400, "invalid_argument"),
        ({"Content_Type": "application/proto"}, b"x" * (MOST_BYTES + 1), 429, "resource_exhausted"),
    ],
)  # fmt: skip
def test_connect_refuses_what_it_cannot_take(
    doors: Doors, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    http = Http(doors.http, doors.tokens["admin"])
    answer = http.ask("POST", "/gate.v1.Gate/GetBalance", body, **headers)
    http.close()
    assert answer.status == status
    if code:
        assert answer.json["code"] == code
    else:
        assert answer.headers["accept-post"] == "application/json, application/proto"


def test_calls_by_http_are_counted_as_the_others(doors: Doors, http: Http) -> None:
    metrics = Metrics(doors.metrics_port)
    labels = {"method": "GetBalance", "outcome": "NOT_FOUND"}
    before = metrics.value("creditgate_requests_total", **labels)
    http.ask("GET", "/v1/accounts/nobody/balance")
    assert metrics.value("creditgate_requests_total", **labels) == before + 1


def test_the_json_of_a_reply_is_the_same_as_a_command_prints(
    http: Http, customer: Customer
) -> None:
    balance = http.ask("GET", f"/v1/accounts/{customer.account_id}/balance").json
    assert json.dumps(balance["balance"]["scoped_nanos"]) == '"0"', "what is zero is told, too"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 404),
        ({"Sec_Fetch_Site": "none"}, 404),
        ({"Origin": "http://rebound.example"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 403),
    ],
)
def test_without_tokens_no_page_in_a_browser_may_call(
    open_http: str, headers: dict[str, str], status: int
) -> None:
    http = Http(open_http)
    assert http.ask("GET", "/v1/accounts/nobody/balance", **headers).status == status
    http.close()


@pytest.fixture(scope="module")
def open_http(doors: Doors) -> Iterator[str]:
    """The HTTP of a gate that asks for no tokens."""
    address = free_address()
    with doors.another_gate(tokens_file=None, http_listen=address):
        yield address


def test_with_a_token_a_page_may_call(http: Http) -> None:
    path = "/v1/accounts/nobody/balance"
    assert http.ask("GET", path, Origin="http://console.example").status == 404


def test_a_request_with_endless_headers_is_cut_off(doors: Doors) -> None:
    host, _, port = doors.http.partition(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=10) as stranger:
        with suppress(OSError):  # the gate has closed the connection meanwhile
            stranger.sendall(b"GET /healthz HTTP/1.1\r\nX-Padding: " + b"x" * MOST_BYTES)
            stranger.sendall(b"\r\nHost: x\r\n\r\n")
        with suppress(OSError):
            answer = stranger.recv(1024)
    assert b"200" not in answer


def test_a_path_with_a_stray_slash_is_not_sent_elsewhere(http: Http) -> None:
    assert http.post("/v1/debit/", {}).status == 404
