"""Lists grants, and what became of the credits of each, page by page."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, case, select, tuple_

from meter.admin.accounts import require_account
from meter.database.schema import grants
from meter.ids import check_id
from meter.journal.grant_types import PROMOTIONAL_TYPES
from meter.journal.operations import Change, GrantCredits
from meter.money import INT64_MAX
from meter.pagination import Page, Place, page_of
from meter.times import optional_timestamp
from meter.v1 import accounts_pb2
from meter.v1 import ledger_pb2 as pb

_ENDED = ("EXHAUSTED", "EXPIRED", "VOIDED")
_PLACE_TYPES = (int, int, int, int, int)
_PLACE_NAMES = ("place_0", "place_1", "place_2", "place_3", "place_4")


@dataclass(frozen=True, slots=True)
class GrantQuery:
    """Says which grants ListGrants finds."""

    account_id: str
    include_ended: bool
    page: Page

    @classmethod
    def of(cls, request: pb.ListGrantsRequest) -> "GrantQuery":
        """Reads the request; raises InvalidField for a field that cannot be used."""
        check_id("account_id", request.account_id)
        return cls(
            account_id=request.account_id,
            include_ended=request.include_ended,
            page=page_of(
                request,
                request.page_size,
                request.page_token,
                _PLACE_TYPES,
            ),
        )


def list_grants(
    connection: Connection,
    query: GrantQuery,
) -> pb.ListGrantsResponse:
    """Returns one page of the account's grants: live grants in burn order, then ended grants.

    Ended grants come newest first. Raises NotFound for an unknown account.
    """
    require_account(connection, query.account_id)
    statement = _select_grants(query).limit(query.page.limit)
    found = connection.execute(statement).mappings().all()
    summaries, token = query.page.fill(found, map(_summary, found), _place_of)
    return pb.ListGrantsResponse(grants=summaries, next_page_token=token)


def grant_message(account_id: str, change: Change) -> accounts_pb2.Grant:
    """Returns the grant that an operation makes; the operation must be a GrantCredits."""
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
    """Returns the scope for labels such as "model=..." or "service=..."; None for no labels.

    Models have their canonical names.
    """
    pairs = [label.partition("=") for label in labels]
    models = [name for key, _, name in pairs if key == "model"]
    services = [name for key, _, name in pairs if key == "service"]
    if not models and not services:
        return None
    return accounts_pb2.Scope(models=models, services=services)


def _select_grants(query: GrantQuery) -> Select[Any]:
    place = _place()
    statement = _select_with(place).where(grants.c.account_id == query.account_id)
    if not query.include_ended:
        statement = statement.where(grants.c.state.not_in(_ENDED))
    if query.page.after:
        statement = statement.where(tuple_(*place) > tuple_(*query.page.after))
    return statement.order_by(*place)


def _select_with(place: Iterable[ColumnElement[int]]) -> Select[Any]:
    """Selects grants, and the parts of each grant's place by name."""
    labelled = [column.label(name) for column, name in zip(place, _PLACE_NAMES, strict=True)]
    return select(grants, *labelled)


def _place() -> tuple[ColumnElement[int], ...]:
    """Returns the sort key of the list.

    Live grants sort as `GrantBalance.burn_place` does; ended ones come after all
    live grants, newest first.
    """
    table = grants.c
    ended = table.state.in_(_ENDED)
    no_expiry = table.expires_at_ms.is_(None)
    is_promotional = table.type.in_(PROMOTIONAL_TYPES)
    return (
        case((ended, 1), else_=0),
        case((ended, 0), else_=table.priority),
        case((ended, 0), (no_expiry, INT64_MAX), else_=table.expires_at_ms),
        case((ended | is_promotional, 0), else_=1),
        case((ended, -table.number), else_=table.number),
    )


def _place_of(row: RowMapping) -> Place:
    return tuple(row[name] for name in _PLACE_NAMES)


def _summary(row: RowMapping) -> pb.GrantSummary:
    return pb.GrantSummary(
        grant=grant_message(row["account_id"], _credits(row)),
        state=row["state"],
        granted_nanos=row["amount_nanos"],
        spent_nanos=row["spent_nanos"],
        held_nanos=row["held_nanos"],
        expired_nanos=row["expired_nanos"],
        remaining_nanos=row["left_nanos"],
        voided_nanos=row["voided_nanos"],
    )


def _credits(row: RowMapping) -> GrantCredits:
    """Returns the operation that made the grant, as far as a message tells of it."""
    return GrantCredits(
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
