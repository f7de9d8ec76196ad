"""Implements the Ledger's calls.

Each call reads the request, waits until the ledger is up to date, reads the ledger and answers. The
methods know no gRPC server: each takes a message and returns a message, and raises a ServiceError
when no answer can be given.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import Connection

from meter.audit import StoreInspector, check_books
from meter.database.engine import Ledger
from meter.ids import check_id
from meter.invoices.repository import (
    INVOICE_PLACE,
    CreateInvoiceQuery,
    create_invoice,
    get_invoice,
    list_invoices,
)
from meter.pagination import AccountsPage
from meter.statements.events import EventQuery, list_events
from meter.statements.grants import GrantQuery, list_grants
from meter.statements.history import EntryQuery, list_entries
from meter.statements.holds import HoldQuery, list_holds
from meter.statements.usage import UsageQuery, query_usage
from meter.v1 import ledger_pb2 as pb

Query = TypeVar("Query")
Response = TypeVar("Response")


class LedgerService:
    """Implements meter.v1.Ledger; proto/meter/v1/ledger.proto says what each call means."""

    def __init__(
        self,
        ledger: Ledger,
        wait_until_flushed: Callable[[str | None], Awaitable[None]],
        clock: Callable[[], Awaitable[int]],
        redis: StoreInspector,
    ) -> None:
        """Keeps what the calls need.

        `wait_until_flushed` returns when the ledger holds everything that Redis had acknowledged
        for an account (None: for all accounts), or raises Unavailable. `clock` returns the store's
        time in ms: once the clock has passed a period's end and the ledger has caught up, nothing
        more can come into the period.
        """
        self._ledger = ledger
        self._wait_until_flushed = wait_until_flushed
        self._clock = clock
        self._redis = redis

    async def ListEntries(self, request: pb.ListEntriesRequest) -> pb.ListEntriesResponse:
        query = EntryQuery.of(request)
        await self._wait_until_flushed(query.account_id)
        return await asyncio.to_thread(self._read, list_entries, query)

    async def QueryUsage(self, request: pb.QueryUsageRequest) -> pb.QueryUsageResponse:
        query = UsageQuery.of(request)
        await self._wait_until_flushed(query.account_id)
        return await asyncio.to_thread(self._read, query_usage, query)

    async def CreateInvoice(self, request: pb.CreateInvoiceRequest) -> pb.Invoice:
        query = CreateInvoiceQuery.of(request)
        # The clock is read before waiting: what is acknowledged after both is later than `now_ms`,
        # and so outside a period that has ended.
        now_ms = await self._clock()
        await self._wait_until_flushed(query.account_id)
        return await asyncio.to_thread(
            create_invoice,
            self._ledger,
            query,
            now_ms,
        )

    async def GetInvoice(self, request: pb.GetInvoiceRequest) -> pb.Invoice:
        check_id("invoice_number", request.invoice_number)
        return await asyncio.to_thread(
            self._read,
            get_invoice,
            request.invoice_number,
        )

    async def ListInvoices(self, request: pb.ListInvoicesRequest) -> pb.ListInvoicesResponse:
        query = AccountsPage.of(request, INVOICE_PLACE)
        return await asyncio.to_thread(self._read, list_invoices, query)

    async def ListGrants(self, request: pb.ListGrantsRequest) -> pb.ListGrantsResponse:
        query = GrantQuery.of(request)
        await self._wait_until_flushed(query.account_id)
        return await asyncio.to_thread(self._read, list_grants, query)

    async def ListHolds(self, request: pb.ListHoldsRequest) -> pb.ListHoldsResponse:
        query = HoldQuery.of(request)
        await self._wait_until_flushed(query.account_id)
        return await asyncio.to_thread(self._read, list_holds, query)

    async def ListEvents(self, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        query = EventQuery.of(request)
        await self._wait_until_flushed(query.account_id or None)
        return await asyncio.to_thread(self._read, list_events, query)

    async def CheckBooks(self, request: pb.CheckBooksRequest) -> pb.CheckBooksResponse:
        if request.account_id:
            check_id("account_id", request.account_id)
        return await check_books(
            self._ledger,
            self._redis,
            self._wait_until_flushed,
            request.account_id or None,
        )

    def _read(
        self,
        read: Callable[[Connection, Query], Response],
        query: Query,
    ) -> Response:
        with self._ledger.read() as connection:
            return read(connection, query)
