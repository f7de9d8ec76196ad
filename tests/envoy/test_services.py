"""The calls that Envoy makes, made by hand: repeats, sources, policies, and what no Envoy sends."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from gate.envoy.auth_pb2 import CheckRequest, CheckResponse
from gate.envoy.auth_pb2_grpc import AuthorizationStub
from gate.envoy.descriptor_pb2 import RateLimitDescriptor
from gate.envoy.ratelimit_pb2 import RateLimitRequest, RateLimitResponse
from gate.envoy.ratelimit_pb2_grpc import RateLimitServiceStub
from meter.v1.ledger_pb2 import AUTHORIZE, DEBIT, RELEASE
from support.customer import CREDIT, Customer, another_gate, new_customer
from support.stack import Client, Stack

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]

INPUT, OUTPUT = 1_000, 2_000  # nanos a token of `tiny`
REPORT = json.dumps({"prompt_tokens": 10, "completion_tokens": 5})
SOURCES = {
    "from_header": "header:X-User",
    "from_context": "context:service",
    "from_metadata": "metadata:jwt/sub",
    "absent": "metadata:jwt/nothing",
}


@dataclass
class Doors:
    """Holds a gate's stubs for Envoy, and a client of the same gate."""

    auth: Any
    rate_limit: Any
    client: Client

    def settle(self, hold: str, domain: str = "creditgate", **told: str) -> None:
        """Tells the end of a request; the answer must be OK."""
        descriptor = RateLimitDescriptor()
        for key, value in {"hold": hold, "outcome": "via_upstream", **told}.items():
            descriptor.entries.add(key=key, value=value)
        request = RateLimitRequest(domain=domain, descriptors=[descriptor])
        assert self.rate_limit.ShouldRateLimit(request).overall_code == RateLimitResponse.OK


@pytest.fixture(scope="module")
def doors(stack: Stack) -> Iterator[Doors]:
    """A gate that charges all that was held where nothing is reported."""
    settings = {
        "envoy_account": "principal",
        "envoy_dimensions": json.dumps(SOURCES),
        "envoy_unreported": "hold",
    }
    with (
        another_gate(stack, **settings) as (_, client),
        grpc.insecure_channel(client.target) as channel,
    ):
        yield Doors(AuthorizationStub(channel), RateLimitServiceStub(channel), client)


@pytest.fixture
def customer(doors: Doors) -> Customer:
    return new_customer(doors.client, "1")


def check(customer: Customer, at_ns: int = 1, **body: Any) -> CheckRequest:
    """Returns a check of 100 tokens of input, and 50 of output unless the body says otherwise."""
    request = CheckRequest()
    attributes = request.attributes
    attributes.source.principal = customer.account_id
    attributes.request.time.FromNanoseconds(at_ns)
    http = attributes.request.http
    http.path = "/v1/chat/completions"
    http.headers["x-user"] = "ada"
    attributes.context_extensions["service"] = "chat"
    attributes.metadata_context.filter_metadata["jwt"]["sub"] = "u-7"
    text = json.dumps({"model": "tiny", "max_tokens": 50, **body})
    http.raw_body = text.ljust(400).encode()
    return request


def hold_of(response: CheckResponse) -> str:
    assert response.status.code == 0
    return response.dynamic_metadata["hold"]


def test_a_check_that_envoy_repeats_is_one_hold_and_another_time_another(
    doors: Doors, customer: Customer
) -> None:
    first = hold_of(doors.auth.Check(check(customer)))
    assert hold_of(doors.auth.Check(check(customer))) == first
    assert hold_of(doors.auth.Check(check(customer, at_ns=2))) != first
    assert customer.balance().held_nanos == 2 * (100 * INPUT + 50 * OUTPUT)


def test_account_and_dimensions_are_found_where_the_settings_say(
    doors: Doors, customer: Customer
) -> None:
    doors.auth.Check(check(customer))
    [entry] = customer.entries(AUTHORIZE)
    told = {name: value for name, value in entry.dimensions.items() if name != "model"}
    assert told == {"from_header": "ada", "from_context": "chat", "from_metadata": "u-7"}


def test_a_settlement_takes_effect_once_however_often_it_is_told(
    doors: Doors, customer: Customer
) -> None:
    hold = hold_of(doors.auth.Check(check(customer)))
    for _ in range(3):
        doors.settle(hold, usage=REPORT, usage_first="-")
    doors.settle(hold, usage="-", outcome="failed")
    doors.settle(hold, usage=REPORT.replace("5", "6"))
    assert customer.balance().held_nanos == 0
    [entry] = customer.entries(DEBIT, RELEASE)
    assert -entry.amount_nanos == 10 * INPUT + 5 * OUTPUT


@pytest.mark.parametrize("usage", ["-", "{", '{"words": 5}', '{"prompt_tokens": -1e999}'])
def test_what_is_not_reported_is_charged_as_held_where_the_policy_says_so(
    doors: Doors, customer: Customer, usage: str
) -> None:
    hold = hold_of(doors.auth.Check(check(customer)))
    doors.settle(hold, usage=usage, usage_first="{]", outcome="downstream\n" + "x" * 600)
    [entry] = customer.entries(DEBIT)
    assert -entry.amount_nanos == 100 * INPUT + 50 * OUTPUT
    assert entry.description.startswith("usage not reported (downstreamx")
    assert entry.description.endswith("): charged as held")


@pytest.mark.parametrize(
    ("tier", "description"),
    [
        ("auto", ""),
        ("default", ""),
        ("unheard-of", "service tier unheard-of has no price: charged as standard"),
    ],
)
def test_a_service_tier_without_a_price_is_charged_as_the_standard_and_told(
    doors: Doors, customer: Customer, tier: str, description: str
) -> None:
    hold = hold_of(doors.auth.Check(check(customer)))
    doors.settle(hold, usage=REPORT, service_tier=tier)
    [entry] = customer.entries(DEBIT)
    assert (-entry.amount_nanos, entry.description) == (10 * INPUT + 5 * OUTPUT, description)


def test_what_is_no_settlement_of_ours_is_passed_over(doors: Doors, customer: Customer) -> None:
    hold = hold_of(doors.auth.Check(check(customer)))
    doors.settle(hold, domain="other", usage=REPORT)
    for garbage in ("-", "no base64", "e30=", hold[:-8]):
        doors.settle(garbage, usage=REPORT)
    assert customer.entries(DEBIT, RELEASE) == []
    assert customer.balance().held_nanos > 0


def test_the_answers_asked_for_are_held_for_and_capped_one_by_one(doors: Doors) -> None:
    customer = new_customer(doors.client, "0.0007")
    response = doors.auth.Check(check(customer, n=3, max_tokens=200))
    held = customer.balance().held_nanos
    assert held == CREDIT * 7 // 10_000
    [header] = response.ok_response.headers
    each = (held - 100 * INPUT) // OUTPUT // 3
    assert (header.header.key, header.header.value) == (
        "x-creditgate-max-output-tokens",
        str(each),
    )
