"""Reads the list of an account's grants, through the service."""

import asyncio

from meter.v1 import ledger_pb2 as pb
from support.histories import Scribe, service_of


def listed(scribe: Scribe, **query: object) -> pb.ListGrantsResponse:
    return asyncio.run(
        service_of(scribe).ListGrants(pb.ListGrantsRequest(**{"account_id": "acme", **query}))
    )


def ids(response: pb.ListGrantsResponse) -> list[str]:
    return [each.grant.grant_id for each in response.grants]


def states(scribe: Scribe) -> dict[str, str]:
    found = listed(scribe, include_ended=True).grants
    return {each.grant.grant_id: pb.GrantState.Name(each.state) for each in found}


def sums(summary: pb.GrantSummary) -> dict[str, int]:
    """Returns the sums of a grant that are not zero."""
    names = ("spent", "held", "expired", "voided", "remaining")
    amounts = {name: getattr(summary, f"{name}_nanos") for name in names}
    assert summary.granted_nanos == summary.grant.amount_nanos == sum(amounts.values())
    return {name: nanos for name, nanos in amounts.items() if nanos}
