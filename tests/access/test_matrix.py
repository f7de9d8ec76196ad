"""Every call, by every kind of caller, on each transport of gRPC and by HTTP: who may, and who is refused and why.

The roles are those of the table in docs/security.md.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1.health_pb2 import HealthCheckResponse

from gate.access.guard import account_finder
from gate.access.roles import RIGHTS, Role
from gate.envoy import auth_pb2, ratelimit_pb2
from gate.v1 import gate_pb2
from meter.v1 import accounts_pb2, ledger_pb2, notifications_pb2, payments_pb2
from support.doors import HTTP, TRANSPORTS, Doors, reason_of
from support.pages import ROOT, text_of
from support.stack import Client

pytest_plugins = ("support.running_doors",)

STUBS = {
    "gate.v1.Gate": "gate",
    "meter.v1.Accounts": "accounts",
    "meter.v1.Ledger": "ledger",
    "meter.v1.Payments": "payments",
    "meter.v1.Notifications": "notifications",
    "envoy.service.auth.v3.Authorization": "authorization",
    "envoy.service.ratelimit.v3.RateLimitService": "rate_limit",
}
METHODS = {
    method.full_name: method
    for file in (
        gate_pb2,
        accounts_pb2,
        ledger_pb2,
        notifications_pb2,
        payments_pb2,
        auth_pb2,
        ratelimit_pb2,
    )
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
BATCH = "gate.v1.Gate.Batch"
OWN = "own-1"
FOREIGN = "foreign"
REFUSALS = {"UNAUTHENTICATED", "FORBIDDEN"}


def documented_roles() -> dict[str, set[str]]:
    """Returns the roles of each call, `admin` aside, as docs/security.md tells them."""
    rows = re.findall(
        r"^\| `([\w.]+\.\w+)` \|(.*)\|$", text_of(ROOT / "docs/security.md"), re.MULTILINE
    )
    return {name: set(re.findall("`([a-z]+)`", roles)) for name, roles in rows}


def test_every_call_has_its_roles_and_its_row_in_the_documentation() -> None:
    assert RIGHTS.keys() == METHODS.keys()
    told = documented_roles()
    assert told == {name: {*right.roles} - {"admin"} for name, right in RIGHTS.items()}


def request_for(method: MethodDescriptor, account_id: str) -> Any:
    """Returns a request that is about the account, and which the service itself refuses at best."""
    request = GetMessageClass(method.input_type)()
    if method.full_name == BATCH:
        request.items.add().get_balance.account_id = account_id
    elif "account_id" in method.input_type.fields_by_name:
        request.account_id = account_id
    else:
        for field in method.input_type.fields:
            if field.message_type and "account_id" in field.message_type.fields_by_name:
                getattr(request, field.name).account_id = account_id
    return request


def outcome(client: Client, method: MethodDescriptor, account_id: str) -> str:
    """Returns the reason of a refusal for the token, or "passed"."""
    stub = getattr(client, STUBS[method.containing_service.full_name])
    reason = reason_of(getattr(stub, method.name), request_for(method, account_id))
    if reason in REFUSALS:
        return reason
    return "passed"


@pytest.fixture(scope="module", params=[*TRANSPORTS, HTTP])
def callers(request: pytest.FixtureRequest, doors: Doors) -> Iterator[dict[str, Client]]:
    """Clients by what they bear."""
    clients = {name: doors.client(request.param, token) for name, token in doors.tokens.items()}
    yield clients
    for client in clients.values():
        client.close()


@pytest.mark.parametrize("name", METHODS)
def test_a_call_is_for_those_who_may_make_it(callers: dict[str, Client], name: str) -> None:
    method = METHODS[name]
    roles = documented_roles()[name]
    has_account = account_finder(method.input_type)(request_for(method, OWN)) == OWN
    for stranger in ("none", "unknown", "expired"):
        assert outcome(callers[stranger], method, OWN) == "UNAUTHENTICATED", stranger
    for role in (Role.GATE, Role.READ, Role.FINANCE):
        expected = "passed" if role in roles else "FORBIDDEN"
        assert outcome(callers[role], method, OWN) == expected, role
    assert outcome(callers[Role.ADMIN], method, OWN) == "passed"
    may_scoped = has_account or name == BATCH
    assert outcome(callers["scoped"], method, OWN) == ("passed" if may_scoped else "FORBIDDEN")
    may_customer = Role.CUSTOMER in roles and may_scoped
    assert outcome(callers[Role.CUSTOMER], method, OWN) == (
        "passed" if may_customer else "FORBIDDEN"
    )
    if name != BATCH:  # its items fail alone
        assert outcome(callers["scoped"], method, FOREIGN) == "FORBIDDEN"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_token_is_given_in_the_scheme_bearer_alone(doors: Doors, transport: str) -> None:
    client = Client(doors.gates[transport])
    token = doors.tokens["admin"]
    outcomes = {}
    for header in (f"bearer {token}", token, f"Digest {token}", f"Bearer  {token}", "Bearer "):
        call = partial(client.gate.GetBalance, metadata=[("authorization", header)])
        outcomes[header] = reason_of(call, gate_pb2.GetBalanceRequest(account_id=OWN))
    client.close()
    assert [*outcomes.values()] == ["ACCOUNT_NOT_FOUND", *["UNAUTHENTICATED"] * 4]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_health_and_reflection_need_no_token(doors: Doors, transport: str) -> None:
    client = Client(doors.gates[transport])
    assert client.health("gate.v1.Gate") == HealthCheckResponse.SERVING
    client.close()
