"""Model calls through a stock Envoy with the shipped configuration: each is held for, and settled
however it ends.
"""

import json
import math
from typing import Any

import pytest

from meter.prices import PriceTable
from meter.times import now_ms
from meter.v1.ledger_pb2 import AUTHORIZE, DEBIT
from support.customer import CREDIT, Customer
from support.envoy_stack import EnvoyStack, settled
from support.servers import wait_until

CHAT = {"model": "gpt-4o", "max_tokens": 50, "messages": []}
# What each answer of the provider reports.
USED = {"input_tokens": 60, "cached_input_tokens": 40, "output_tokens": 20}
INPUT, OUTPUT = 2_500, 10_000  # nanos a token of gpt-4o


def cost(model: str, **used: int) -> int:
    return PriceTable.load(None).find(model, now_ms()).cost(used).amount_nanos


def estimate(body: object, output_tokens: int) -> int:
    """The cost of a response without usage."""
    input_tokens = math.ceil(len(json.dumps(body)) / 4)
    return input_tokens * INPUT + output_tokens * OUTPUT


@pytest.mark.parametrize(
    ("answer", "model", "path"),
    [
        ("json", "gpt-4o", "/v1/chat/completions"),
        ("sse", "gpt-4o", "/v1/chat/completions"),
        ("spoofs", "gpt-4o", "/v1/chat/completions"),
        ("responses", "gpt-4.1", "/v1/responses"),
        ("responses-sse", "gpt-4.1", "/v1/responses"),
        ("anthropic-sse", "claude-sonnet-4-5", "/v1/messages"),
        ("gemini", "gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("gemini-array", "gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:streamGenerateContent"),
    ],
)  # fmt: skip
def test_a_call_is_charged_exactly_what_the_provider_reports(
    envoy: EnvoyStack, answer: str, model: str, path: str
) -> None:
    customer = envoy.customer()
    before = envoy.settlements("reported")
    body: dict[str, Any] = {"model": model, "max_tokens": 50}
    if answer.startswith("gemini"):
        body = {"contents": [], "generationConfig": {"maxOutputTokens": 50}}
    got = envoy.call(customer, answer, path, body, x_user="ada")
    assert got.status == 200
    [entry] = settled(customer)
    assert -entry.amount_nanos == cost(model, **USED)
    assert (entry.request_id, entry.description) == (f"{entry.hold_id}/settle", "")
    assert got.headers["x-creditgate-hold"] == entry.hold_id
    assert entry.dimensions["user"] == "ada"
    assert envoy.settlements("reported") == before + 1


def test_a_call_is_charged_in_the_service_tier_that_served_it(envoy: EnvoyStack) -> None:
    customer = envoy.customer()
    assert envoy.call(customer, "priority").status == 200
    price = PriceTable.load(None).find("gpt-4o", now_ms(), service_tier="priority")
    [entry] = settled(customer)
    assert -entry.amount_nanos == price.cost(USED).amount_nanos > cost("gpt-4o", **USED)


def test_what_the_provider_is_asked_again_inside_envoy_is_one_hold(envoy: EnvoyStack) -> None:
    customer = envoy.customer()
    checks, asked = envoy.counted("Check"), len(envoy.provider.asked)
    assert envoy.call(customer, "flaky").status == 200
    assert -settled(customer)[0].amount_nanos == cost("gpt-4o", **USED)
    assert len(envoy.provider.asked) == asked + 2
    assert envoy.counted("Check") == checks + 1
    assert len(customer.entries(AUTHORIZE)) == 1


def test_a_failed_call_gives_its_hold_back(envoy: EnvoyStack) -> None:
    customer = envoy.customer()
    before = envoy.settlements("released")
    assert envoy.call(customer, "broken").status == 500
    assert settled(customer) == []
    assert customer.balance().remaining_nanos == CREDIT
    assert envoy.settlements("released") == before + 1


@pytest.mark.parametrize(
    ("answer", "events", "outcome"),
    [
        ("silent", 1, "via_upstream"),
        ("nonsense", 1, "via_upstream"),
        ("half", 3, "upstream_reset_after_response_started"),
    ],
)
def test_a_response_without_usage_is_estimated(
    envoy: EnvoyStack, answer: str, events: int, outcome: str
) -> None:
    customer = envoy.customer()
    before = envoy.settlements("unreported")
    assert envoy.call(customer, answer).is_cut == (answer == "half")
    [entry] = settled(customer)
    assert -entry.amount_nanos == estimate(CHAT, events)
    assert entry.description.startswith(f"usage not reported ({outcome}")
    assert entry.description.endswith("): estimated")
    assert envoy.settlements("unreported") == before + 1


def test_a_client_that_goes_away_is_charged_what_had_come(envoy: EnvoyStack) -> None:
    customer = envoy.customer()
    envoy.provider.go_on.clear()
    connection = envoy.begin(customer, "held")
    response = connection.getresponse()
    seen = b""
    while seen.count(b"data:") < 3 or not seen.endswith(b"\n\n"):
        seen += response.read1(100)
    response.close()
    connection.close()
    [entry] = settled(customer)
    envoy.provider.go_on.set()
    assert -entry.amount_nanos == estimate(CHAT, 3)
    assert "downstream_remote_disconnect" in entry.description


def test_a_report_of_nothing_costs_nothing(envoy: EnvoyStack) -> None:
    customer = envoy.customer()
    assert envoy.call(customer, "zero").status == 200
    assert settled(customer) == []
    [entry] = customer.entries(DEBIT)
    assert (entry.amount_nanos, entry.description) == (0, "")


def test_the_clients_of_each_provider_understand_a_denial(envoy: EnvoyStack) -> None:
    poor = envoy.customer("0")
    asked = len(envoy.provider.asked)
    openai = envoy.call(poor, "json")
    assert (openai.status, openai.headers["x-should-retry"]) == (402, "false")
    assert openai.headers["content-type"] == "application/json"
    assert openai.json["error"]["type"] == "insufficient_quota"
    assert openai.json["error"]["code"] == "insufficient_credits"
    anthropic = envoy.call(poor, "json", "/v1/messages")
    assert (anthropic.status, anthropic.json["type"]) == (402, "error")
    assert anthropic.json["error"]["type"] == "billing_error"
    google = envoy.call(poor, "json", "/v1beta/models/gemini-2.5-flash:generateContent")
    assert (google.status, google.json["error"]["status"]) == (402, "RESOURCE_EXHAUSTED")
    assert len(envoy.provider.asked) == asked


def test_a_denial_that_time_heals_says_when_to_come_again(envoy: EnvoyStack) -> None:
    customer = envoy.customer(daily_limit_nanos=cost("gpt-4o", **USED))
    envoy.call(customer, "json", body={**CHAT, "max_tokens": 1})
    settled(customer)
    got = envoy.call(customer, "json", body={**CHAT, "max_tokens": 1})
    assert (got.status, got.json["error"]["code"]) == (429, "daily_limit_exceeded")
    assert 0 < int(got.headers["retry-after"]) <= 86_400
    assert got.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"no JSON", 400, "invalid_body"),
        (b"\xff\xfe{\x00}\x00", 400, "invalid_body"),
        (b"[]", 400, "invalid_body"),
        ({"messages": []}, 400, "invalid_body"),
        ({"model": "no-such-model"}, 404, "model_not_found"),
    ],
)
def test_a_body_that_is_no_model_call_is_refused(
    envoy: EnvoyStack, body: object, status: int, code: str
) -> None:
    customer = envoy.customer()
    got = envoy.call(customer, "json", body=body)
    assert (got.status, got.json["error"]["code"]) == (status, code)


def test_who_is_unknown_and_what_is_too_large_is_refused(envoy: EnvoyStack) -> None:
    nobody = Customer(envoy.client, "envoy-79")  # has a key, and no account
    assert envoy.call(nobody, "json").json["error"]["type"] == "authentication_error"
    assert envoy.call(nobody, "json").status == 401
    checks = envoy.counted("Check")
    assert envoy.call(None, "json", x_creditgate_account="envoy-0").status == 401
    customer = envoy.customer()
    large = {**CHAT, "messages": ["x" * 3 * 1024 * 1024]}
    assert envoy.call(customer, "json", body=large).status == 413
    assert envoy.counted("Check") == checks


def test_a_client_chooses_neither_account_nor_request_id_nor_cap(envoy: EnvoyStack) -> None:
    rich, customer = envoy.customer(), envoy.customer()
    for _ in range(3):
        got = envoy.call(
            customer,
            "json",
            x_creditgate_account=rich.account_id,
            x_request_id="7b1c24bc-59e8-4f1e-8b4a-0e5e6f9f7a11",
            x_creditgate_max_output_tokens="9",
        )
        assert got.status == 200
        assert envoy.provider.asked[-1]["max_tokens"] == 50
    assert [-entry.amount_nanos for entry in settled(customer, 3)] == [cost("gpt-4o", **USED)] * 3
    assert rich.entries(AUTHORIZE) == []
    sent = envoy.provider.headers[-1]
    assert sent["authorization"] == "Bearer the-providers"
    assert not {"x-creditgate-account", "x-creditgate-max-output-tokens"} & sent.keys()


def test_output_is_capped_at_what_the_hold_pays_for(envoy: EnvoyStack) -> None:
    customer = envoy.customer("0.005")
    body = {
        "model": "gpt-4o",
        "max_completion_tokens": 5000,
        "messages": [{"content": '"max_tokens": 7', "max_tokens": 8}],
    }
    assert envoy.call(customer, "json", body=body).status == 200
    sent = envoy.provider.asked[-1]
    affordable = (5_000_000 - estimate(body, 0)) // OUTPUT
    assert 256 < sent["max_completion_tokens"] == affordable < 5000
    assert sent["messages"] == body["messages"]
    assert "max_tokens" not in sent
    settled(customer)


def test_a_call_without_a_maximum_is_capped_and_its_stream_is_asked_for_usage(
    envoy: EnvoyStack,
) -> None:
    customer = envoy.customer()
    body = {"model": "gpt-4o", "stream": True, "n": 2}
    assert envoy.call(customer, "sse", body=body, accept_encoding="gzip").status == 200
    assert envoy.provider.asked[-1] == {
        **body,
        "max_tokens": 4096,
        "stream_options": {"include_usage": True},
    }
    assert "accept-encoding" not in envoy.provider.headers[-1]
    settled(customer)


def test_calls_that_end_while_the_gate_is_away_are_settled_when_it_is_back(
    envoy: EnvoyStack,
) -> None:
    customer = envoy.customer()
    envoy.provider.go_on.clear()
    streams = [envoy.begin(customer, "held") for _ in range(8)]
    responses = [stream.getresponse() for stream in streams]
    [gate] = envoy.stack.gates
    gate.kill()
    assert envoy.call(customer, "json").status == 503
    envoy.provider.go_on.set()
    for stream, response in zip(streams, responses, strict=True):
        assert b"[DONE]" in response.read()
        stream.close()
    gate.start()
    entries = settled(customer, 8)
    assert [-entry.amount_nanos for entry in entries] == [cost("gpt-4o", **USED)] * 8
    wait_until(lambda: envoy.settlements("reported") == 8)
