"""Grants, listed: what became of the credits of each, page by page."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, RowMapping, case, select, tuple_

from meter.admin.accounts import require_account
from meter.database.schema import grants
from meter.ids import check_id
from meter.journal.operations import Change, GrantCredits
from meter.ledger.projections.grants import PROMOTIONAL
from meter.money import INT64_MAX
from meter.pagination import Page, page_of
from meter.times import optional_timestamp
from meter.v1 import accounts_pb2
from meter.v1 import ledger_pb2 as pb

_ENDED = ("EXHAUSTED", "EXPIRED", "VOIDED")
_PLACE = (int, int, int, int, int)


@dataclass(frozen=True, slots=True)
class GrantQuery:
    """What ListGrants is to find."""

    account_id: str
    include_ended: bool
    page: Page

    @classmethod
    def of(cls, request: pb.ListGrantsRequest) -> "GrantQuery":
        check_id("account_id", request.account_id)
        page = page_of(request, request.page_size, request.page_token, _PLACE)
        return cls(request.account_id, request.include_ended, page)


def list_grants(connection: Connection, query: GrantQuery) -> pb.ListGrantsResponse:
    """One page of the account's grants in burn order; ended ones after those, newest first.

    NotFound for an unknown account.
    """
    require_account(connection, query.account_id)
    place = _place()
    columns = [each.label(f"place_{number}") for number, each in enumerate(place)]
    wanted = select(grants, *columns).where(grants.c.account_id == query.account_id)
    if not query.include_ended:
        wanted = wanted.where(grants.c.state.not_in(_ENDED))
    if query.page.after:
        wanted = wanted.where(tuple_(*place) > tuple_(*query.page.after))
    rows = connection.execute(wanted.order_by(*place).limit(query.page.size + 1)).mappings().all()
    token = ""
    if len(rows) > query.page.size:
        token = query.page.token(tuple(rows[-2][column.name] for column in columns))
    return pb.ListGrantsResponse(
        grants=map(_summary, rows[: query.page.size]), next_page_token=token
    )


def grant_message(account_id: str, change: Change) -> accounts_pb2.Grant:
    """The grant that an operation makes."""
    assert isinstance(change, GrantCredits), "of the operations that grant credits"
    return accounts_pb2.Grant(
        grant_id=change.grant_id,
        account_id=account_id,
        type=change.type,
        amount_nanos=change.amount_nanos,
        priority=change.priority,
        effective_at=optional_timestamp(change.effective_at_ms),
        expires_at=optional_timestamp(change.expires_at_ms),
        description=change.description,
        scope=scope_of(change.scope),
        non_refundable=change.non_refundable,
    )


def scope_of(labels: Iterable[str]) -> accounts_pb2.Scope | None:
    """The scope that labels ("model=...", "service=...") stand for, models by their canonical names;
    None for no labels.
    """
    parts = [label.partition("=") for label in labels]
    if not parts:
        return None
    return accounts_pb2.Scope(
        models=[value for key, _, value in parts if key == "model"],
        services=[value for key, _, value in parts if key == "service"],
    )


def _place() -> tuple[ColumnElement[int], ...]:
    """Sort key of the list: as `GrantBalance.burn_place` has it, then, for those that have ended,
    backwards by age.
    """
    table = grants.c
    ended = table.state.in_(_ENDED)
    return (
        case((ended, 1), else_=0),
        case((ended, 0), else_=table.priority),
        case((ended, 0), (table.expires_at_ms.is_(None), INT64_MAX), else_=table.expires_at_ms),
        case((ended | table.type.in_(PROMOTIONAL), 0), else_=1),
        case((ended, -table.number), else_=table.number),
    )


def _summary(row: RowMapping) -> pb.GrantSummary:
    grant = GrantCredits(
        grant_id=row["grant_id"],
        type=row["type"],
        amount_nanos=row["amount_nanos"],
        priority=row["priority"],
        effective_at_ms=row["effective_at_ms"],
        expires_at_ms=row["expires_at_ms"],
        description=row["description"],
        scope=tuple(json.loads(row["scope"])),
        non_refundable=row["non_refundable"],
    )
    return pb.GrantSummary(
        grant=grant_message(row["account_id"], grant),
        state=row["state"],
        granted_nanos=row["amount_nanos"],
        spent_nanos=row["spent_nanos"],
        held_nanos=row["held_nanos"],
        expired_nanos=row["expired_nanos"],
        remaining_nanos=row["left_nanos"],
        voided_nanos=row["voided_nanos"],
    )
