"""The contracts as such: names, numbers and types, stubs, health, reflection, and the retry policy
beside them.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gate.v1 import gate_pb2
from gate.v1.gate_pb2_grpc import GateStub
from meter.v1 import accounts_pb2, journal_pb2, ledger_pb2
from support.customer import Customer
from support.stack import Stack

pytest_plugins = ("support.running_stack",)
pytestmark = pytest.mark.every_transport

ROOT = Path(__file__).resolve().parents[2]
SERVICE_CONFIG = ROOT / "proto" / "gate" / "v1" / "service_config.json"
FILES: list[FileDescriptor] = [
    each.DESCRIPTOR for each in (gate_pb2, accounts_pb2, journal_pb2, ledger_pb2)
]
MESSAGES: list[Descriptor] = [
    message for file in FILES for message in file.message_types_by_name.values()
]
FIELDS: list[FieldDescriptor] = [field for message in MESSAGES for field in message.fields]
SERVICES = [service for file in FILES for service in file.services_by_name.values()]

# Which process serves which services.
SERVED = {
    "gate": [each for each in SERVICES if each.full_name != "meter.v1.Ledger"],
    "billing": [each for each in SERVICES if each.full_name == "meter.v1.Ledger"],
}

# The promise to clients: fields by message, as the design has them.
PROMISED = {
    gate_pb2.AuthorizeRequest: "account_id request_id amount_nanos usage dimensions min_amount_nanos hold_ttl_ms traffic_class",
    gate_pb2.DebitRequest: "account_id request_id amount_nanos usage dimensions hold_id incurred description",
    gate_pb2.Usage: "model input_tokens cached_input_tokens cache_write_tokens output_tokens",
    gate_pb2.AuthorizeResponse: "decision hold_id held_nanos expires_at denial balance replayed",
    gate_pb2.DebitResponse: "decision charged_nanos shortfall_nanos denial balance replayed late",
    gate_pb2.Denial: "reason shortfall_nanos affordable_nanos affordable_output_tokens resets_at budget",
    gate_pb2.Balance: "total_credits_nanos period_usage_nanos remaining_nanos overage_protection_nanos held_nanos"
    " daily_limit_nanos daily_used_nanos available_nanos daily_used_yesterday_nanos scoped_nanos expired_nanos",
    accounts_pb2.Grant: "type amount_nanos priority effective_at expires_at description scope non_refundable",
    accounts_pb2.Budget: "budget_id scope window soft limit_nanos thresholds used_nanos held_nanos resets_at",
    ledger_pb2.GrantSummary: "grant state granted_nanos spent_nanos held_nanos expired_nanos remaining_nanos voided_nanos",
    ledger_pb2.Event: "event_id sequence type account_id occurred_at recorded_at data",
}
UNSIGNED = {
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_FIXED32,
    FieldDescriptor.TYPE_FIXED64,
}
FLOATING = {FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE}


def target_of(stack: Stack, process: str) -> str:
    return {"gate": stack.targets[0], "billing": stack.billing_targets[0]}[process]


@pytest.mark.parametrize(
    ("message", "promised"), PROMISED.items(), ids=lambda each: getattr(each, "__name__", "")
)
def test_the_promised_fields_are_there(message: Any, promised: str) -> None:
    assert set(promised.split()) <= set(message.DESCRIPTOR.fields_by_name)


def test_every_method_of_the_design_is_there() -> None:
    methods = {
        service.full_name: {method.name for method in service.methods} for service in SERVICES
    }
    gate = {"Authorize", "Debit", "Release", "Extend", "GetBalance", "EstimateCost", "Batch"}
    assert methods["gate.v1.Gate"] == gate
    assert methods["meter.v1.Accounts"] == {
        "CreateAccount", "GetAccount", "ListAccounts", "UpdateAccount", "GrantCredits", "VoidGrant", "CreateTopUp",
        "CompleteTopUp", "ListTopUps", "CreateVouchers", "RedeemVoucher", "ListVoucherBatches", "SetBudget", "DeleteBudget",
        "ListBudgets", "ListBudgetValues", "AdvanceTestClock",
    }  # fmt: skip
    assert methods["meter.v1.Ledger"] == {
        "ListEntries", "QueryUsage", "CreateInvoice", "GetInvoice", "ListInvoices", "ListGrants",
        "ListHolds", "ListEvents", "CheckBooks",
    }  # fmt: skip


def test_a_daily_limit_may_be_absent() -> None:
    for message in (gate_pb2.Balance, accounts_pb2.Account):
        assert message.DESCRIPTOR.fields_by_name["daily_limit_nanos"].has_presence


def test_no_field_is_unsigned_or_floating() -> None:
    assert [field.full_name for field in FIELDS if field.type in UNSIGNED | FLOATING] == []


def test_every_amount_of_money_is_an_int64() -> None:
    amounts = [field for field in FIELDS if field.name.endswith("_nanos")]
    assert len(amounts) > 30
    assert {field.type for field in amounts} == {FieldDescriptor.TYPE_INT64}


def test_zero_of_every_enum_means_unspecified() -> None:
    enums = [enum for file in FILES for enum in file.enum_types_by_name.values()]
    assert len(enums) >= 7
    assert [
        enum.name for enum in enums if not enum.values_by_number[0].name.endswith("_UNSPECIFIED")
    ] == []


def test_the_ledger_reads_every_request_by_the_numbers_and_types_of_its_proto() -> None:
    requests = (
        gate_pb2.AuthorizeRequest,
        gate_pb2.DebitRequest,
        gate_pb2.ReleaseRequest,
        gate_pb2.ExtendRequest,
    )
    read = journal_pb2.JournaledRequest.DESCRIPTOR.fields
    for request in requests:
        sent = request.DESCRIPTOR.fields_by_name
        by_number = request.DESCRIPTOR.fields_by_number
        for field in read:
            if field.number in by_number:
                assert by_number[field.number].name == field.name
            if field.name in sent:
                theirs = sent[field.name]
                assert (theirs.number, theirs.type, theirs.is_repeated) == (
                    field.number,
                    field.type,
                    field.is_repeated,
                )
    journaled = {field.name for field in read}
    told = {field.name for request in requests for field in request.DESCRIPTOR.fields}
    assert journaled <= told


def test_a_field_has_one_number_in_all_requests_of_the_gate() -> None:
    numbers: dict[str, set[int]] = {}
    for request in ("AuthorizeRequest", "DebitRequest", "ReleaseRequest", "ExtendRequest"):
        for field in gate_pb2.DESCRIPTOR.message_types_by_name[request].fields:
            numbers.setdefault(field.name, set()).add(field.number)
    assert {name: found for name, found in numbers.items() if len(found) > 1} == {}


def test_a_journaled_request_keeps_what_the_ledger_needs() -> None:
    sent = gate_pb2.DebitRequest(
        account_id="a",
        request_id="r",
        amount_nanos=5,
        dimensions={"user": "ada"},
        hold_id="h",
        description="d",
    )
    read = journal_pb2.JournaledRequest.FromString(sent.SerializeToString())
    assert (read.account_id, read.request_id, read.hold_id, read.description) == (
        "a",
        "r",
        "h",
        "d",
    )
    assert read.dimensions == {"user": "ada"}


def test_the_stubs_are_those_of_the_protos() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/gen_proto.py", "--check"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_lists_are_paged_alike() -> None:
    for service in SERVICES:
        for method in service.methods:
            if method.name.startswith("List") or method.name == "QueryUsage":
                assert {"page_size", "page_token"} <= set(method.input_type.fields_by_name), (
                    method.full_name
                )
                assert "next_page_token" in method.output_type.fields_by_name, method.full_name


def test_all_that_moves_money_takes_a_request_id() -> None:
    reads = ("Get", "List", "Query", "Check", "Estimate", "CreateInvoice", "Batch")
    for service in SERVICES:
        for method in service.methods:
            takes_one = "request_id" in method.input_type.fields_by_name
            # A top-up's own id is as good: it completes once.
            needs_one = not method.name.startswith((*reads, "CompleteTopUp"))
            assert takes_one == needs_one, method.full_name


@pytest.mark.parametrize("process", SERVED)
def test_health_tells_of_each_service(stack: Stack, process: str) -> None:
    own = [service.full_name for service in SERVED[process]]
    others = {service.full_name for service in SERVICES} - set(own)
    with grpc.insecure_channel(target_of(stack, process)) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", *own):
            reply = health.Check(health_pb2.HealthCheckRequest(service=name))
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        for name in ("gate.v1.Other", *others):
            with pytest.raises(grpc.RpcError) as unknown:
                health.Check(health_pb2.HealthCheckRequest(service=name))
            assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("process", SERVED)
def test_reflection_lists_the_services_and_serves_their_files(stack: Stack, process: str) -> None:
    own = SERVED[process]
    ask = reflection_pb2.ServerReflectionRequest
    with grpc.insecure_channel(target_of(stack, process)) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        requests = [
            ask(list_services=""),
            *(ask(file_containing_symbol=each.full_name) for each in own),
        ]
        listed, *described = stub.ServerReflectionInfo(iter(requests))
    names = {service.name for service in listed.list_services_response.service}
    assert names & {service.full_name for service in SERVICES} == {each.full_name for each in own}
    assert "grpc.health.v1.Health" in names
    for service, reply in zip(own, described, strict=True):
        files = [
            FileDescriptorProto.FromString(each)
            for each in reply.file_descriptor_response.file_descriptor_proto
        ]
        assert service.name in {found.name for file in files for found in file.service}


def test_the_retry_policy_names_what_exists_and_retries_only_what_is_safe() -> None:
    methods = {
        service.full_name: {method.name for method in service.methods} for service in SERVICES
    }
    named = set()
    for config in json.loads(SERVICE_CONFIG.read_text())["methodConfig"]:
        assert config["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
        assert config["waitForReady"]
        for name in config["name"]:
            named.add(name["service"])
            assert name.get("method") in {None, *methods[name["service"]]}
    assert named == methods.keys() - {"meter.v1.Journal"}


def test_grpc_accepts_the_retry_policy(stack: Stack, open_account: Any) -> None:
    customer: Customer = open_account("1")
    options = [("grpc.service_config", SERVICE_CONFIG.read_text())]
    with grpc.insecure_channel(stack.targets[0], options=options) as channel:
        reply = GateStub(channel).Debit(customer.asks(gate_pb2.DebitRequest, 1))
    assert reply.charged_nanos == 1


def test_the_retry_policy_repeats_what_was_unavailable_and_nothing_else() -> None:
    asked: list[str] = []

    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        asked.append(gate_pb2.DebitRequest.FromString(request).request_id)
        if asked[-1] == "wrong":
            context.abort(grpc.StatusCode.INTERNAL, "not to be repeated")
        if len(asked) < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        return b""

    methods = {"Debit": grpc.unary_unary_rpc_method_handler(answer)}
    server = grpc.server(
        ThreadPoolExecutor(1), [grpc.method_handlers_generic_handler("gate.v1.Gate", methods)]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    options = [("grpc.service_config", SERVICE_CONFIG.read_text())]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        GateStub(channel).Debit(gate_pb2.DebitRequest(request_id="r-1"))
        assert asked == ["r-1"] * 3
        with pytest.raises(grpc.RpcError):
            GateStub(channel).Debit(gate_pb2.DebitRequest(request_id="wrong"))
    assert asked[3:] == ["wrong"]
    server.stop(None).wait()
