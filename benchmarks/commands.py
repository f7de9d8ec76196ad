"""Commands for Redis without end: what a call makes the gate send, with other accounts and request
ids put in, and some to compare with.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import hiredis
from capture import Captured, capture
from http2 import ask
from population import USUAL, shard_tag
from processes import Stack
from templates import ACCOUNT, REQUEST, Template, account_id, at_random, request_ids
from workloads import authorization, debit, tagged_debit

from gate.v1.gate_pb2 import AuthorizeRequest, AuthorizeResponse, DebitRequest

ACCOUNTS = 1000

# What reference.lua works on: a hash with one field for each value, which is the plain way to keep
# an account, and the effect line and the sums of a debit.
_ACCOUNT = (
    "epoch 1 operation 2 status active currency USD clock - day 20779 spendable 999998750000000 "
    "held 0 overage 0 total 1000000000000000 used 1250000 left_today 999998750000000 "
    "limit 1000000000000000 day_base 0 month_base 0"
)
_EFFECT = (
    "D 1795313604123 20779 1250000 0 - - - - 999998750000000 0 0 1000000000000000 1250000 "
    "999998750000000 1000000000000000 0 0"
)
_FINGERPRINT = "0123456789abcdef01"
_SUMS = (999_998_750_000_000, 1_250_000, 999_998_750_000_000)


@dataclass(frozen=True, slots=True)
class Sample:
    """What some calls made the gate send, and the names in it that differ from call to call."""

    captured: Captured
    request_ids: tuple[bytes, ...]
    hold: bytes


@dataclass(frozen=True, slots=True)
class Supply:
    """Packed commands: each unit has so many replies, and adds so many entries to the
    gate's journals.
    """

    units: Iterator[bytes]
    replies: int = 1
    entries: int = 0


def sample(stack: Stack, *requests: AuthorizeRequest | DebitRequest) -> Sample:
    """Makes the calls, one after the other, and captures them.

    What follows an Authorize settles its hold.
    """
    ids = tuple(islice(request_ids(), len(requests)))
    hold = b""

    def act() -> None:
        nonlocal hold
        for request, request_id in zip(requests, ids, strict=True):
            request.request_id = request_id.decode()
            if isinstance(request, AuthorizeRequest):
                reply = ask(stack.address, "/gate.v1.Gate/Authorize", request.SerializeToString())
                hold = AuthorizeResponse.FromString(reply).hold_id.encode()
            else:
                request.hold_id = hold.decode()
                ask(stack.address, "/gate.v1.Gate/Debit", request.SerializeToString())

    with closing(stack.redis()) as client:
        captured = capture(client, ACCOUNT.encode(), act)
    return Sample(captured, ids, hold)


def supply(stack: Stack, of: Sample, accounts: int = ACCOUNTS, kind: str = USUAL) -> Supply:
    """The sample's commands again and again, for accounts at random, with request ids and holds
    that are new each time.
    """
    account = ACCOUNT.encode()
    hold = (of.hold,) if of.hold else ()
    names = (account, shard_tag(account, stack.settings.shards), *of.request_ids, *hold)
    template = Template(b"".join(map(_packed, of.captured.sent)), *names)

    def units() -> Iterator[bytes]:
        ids = request_ids()
        width = len(of.hold) - 1
        for number, who in enumerate(at_random(_accounts(stack, accounts, kind))):
            holds = (b"h%0*x" % (width, number),) if of.hold else ()
            yield template.fill(*who, *(next(ids) for _ in of.request_ids), *holds)

    return Supply(units(), len(of.captured.sent), len(of.request_ids))


def debits(stack: Stack) -> Supply:
    """Debits without a hold."""
    return supply(stack, sample(stack, debit()))


def tagged_debits(stack: Stack, kind: str) -> Supply:
    """Debits with dimensions, of accounts of a kind."""
    return supply(stack, sample(stack, tagged_debit()), kind=kind)


def pairs(stack: Stack) -> Supply:
    """Authorize, and the Debit that settles its hold."""
    return supply(stack, sample(stack, authorization(), debit()))


def holds(stack: Stack, accounts: int) -> Supply:
    """Holds that stay open for a day."""
    return supply(stack, sample(stack, authorization(hold_ttl_ms=86_400_000)), accounts)


def of_script(stack: Stack, name: str) -> Supply:
    """The script NAME.lua beside this file, with keys and arguments like a debit's, on keys of its
    own.
    """
    accounts = _accounts(stack, ACCOUNTS)
    with closing(stack.redis()) as client:
        sha = client.script_load((Path(__file__).parent / f"{name}.lua").read_text("utf-8"))
        pipeline = client.pipeline(transaction=False)
        for account, tag in accounts:
            pipeline.hset(f"bench:{tag.decode()}:a:{account.decode()}", items=_ACCOUNT.split())
        pipeline.execute()
    tag = accounts[0][1]
    keys = [
        b"bench:%b:%b" % (tag, rest.encode())
        for rest in (f"a:{ACCOUNT}", f"r:{ACCOUNT} {REQUEST}", "journal")
    ]
    arguments = (1, _FINGERPRINT, 900_000, _EFFECT, "debit", debit().SerializeToString(), *_SUMS)
    packed = _packed(("EVALSHA", sha, len(keys), *keys, *arguments))
    template = Template(packed, ACCOUNT.encode(), tag, REQUEST.encode())
    ids = request_ids()
    return Supply(template.fill(*who, next(ids)) for who in at_random(accounts))


def _packed(command: tuple[str | bytes | int, ...]) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub names a tuple of one
    return packed


def _accounts(stack: Stack, count: int, kind: str = USUAL) -> list[tuple[bytes, bytes]]:
    """Accounts, each with its hash tag."""
    ids = (account_id(number, kind) for number in range(count))
    return [(each, shard_tag(each, stack.settings.shards)) for each in ids]
