"""Lists an account's open holds, the oldest first, page by page."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, select, tuple_

from meter.admin.accounts import require_account
from meter.database.schema import open_holds
from meter.ids import check_id
from meter.pagination import Page, Place, page_of
from meter.times import timestamp
from meter.v1 import ledger_pb2 as pb

_PLACE_TYPES = (int, str)


@dataclass(frozen=True, slots=True)
class HoldQuery:
    """Says which holds ListHolds finds."""

    account_id: str
    page: Page

    @classmethod
    def of(cls, request: pb.ListHoldsRequest) -> "HoldQuery":
        """Reads the request; raises InvalidField for a field that cannot be used."""
        check_id("account_id", request.account_id)
        page = page_of(request, request.page_size, request.page_token, _PLACE_TYPES)
        return cls(request.account_id, page)


def list_holds(connection: Connection, query: HoldQuery) -> pb.ListHoldsResponse:
    """Returns one page of the account's open holds; raises NotFound for an unknown account."""
    require_account(connection, query.account_id)
    found = connection.execute(_select_holds(query).limit(query.page.limit)).all()
    holds, token = query.page.fill(found, map(_hold, found), _place_of)
    return pb.ListHoldsResponse(holds=holds, next_page_token=token)


def _select_holds(query: HoldQuery) -> Select[Any]:
    place = (open_holds.c.authorized_at_ms, open_holds.c.hold_id)
    statement = select(open_holds).where(open_holds.c.account_id == query.account_id)
    if query.page.after:
        statement = statement.where(tuple_(*place) > tuple_(*query.page.after))
    return statement.order_by(*place)


def _place_of(row: Row[Any]) -> Place:
    return row.authorized_at_ms, row.hold_id


def _hold(row: Row[Any]) -> pb.Hold:
    return pb.Hold(
        hold_id=row.hold_id,
        account_id=row.account_id,
        amount_nanos=row.amount_nanos,
        authorized_at=timestamp(row.authorized_at_ms),
        expires_at=timestamp(row.expires_ms),
    )
