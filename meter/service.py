"""The Ledger's calls: read the request, wait until the ledger is up to date, read the books, answer.

The methods know no gRPC server: they take a message and return one, and raise a ServiceError when they cannot answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import Connection

from meter import invoice_book, statements
from meter.check import RedisView, check_books
from meter.events import EventQuery, list_events
from meter.grants import GrantQuery, list_grants
from meter.ids import check_id
from meter.ledger.engine import Ledger
from meter.v1 import ledger_pb2 as pb

Query = TypeVar("Query")
Response = TypeVar("Response")


class LedgerService:
    """meter.v1.Ledger; what each call means stands in proto/meter/v1/ledger.proto.

    `fresh` returns when the ledger holds all that Redis had acknowledged for an account (None: for all), or raises Unavailable.
    `clock` is the store's, in ms: once it has passed a period's end and the ledger is fresh, nothing more can come into the period.
    """

    def __init__(
        self,
        ledger: Ledger,
        fresh: Callable[[str | None], Awaitable[None]],
        clock: Callable[[], Awaitable[int]],
        redis: RedisView,
    ) -> None:
        self._ledger, self._fresh, self._clock, self._redis = ledger, fresh, clock, redis

    async def ListEntries(self, request: pb.ListEntriesRequest) -> pb.ListEntriesResponse:
        query = statements.EntryQuery.of(request)
        await self._fresh(query.account_id)
        return await asyncio.to_thread(self._read, statements.list_entries, query)

    async def QueryUsage(self, request: pb.QueryUsageRequest) -> pb.QueryUsageResponse:
        query = statements.UsageQuery.of(request)
        await self._fresh(query.account_id)
        return await asyncio.to_thread(self._read, statements.query_usage, query)

    async def CreateInvoice(self, request: pb.CreateInvoiceRequest) -> pb.Invoice:
        wanted = invoice_book.Wanted.of(request)
        now_ms = (
            await self._clock()
        )  # before `fresh`: what comes later than both is not in the period, if that has ended
        await self._fresh(wanted.account_id)
        return await asyncio.to_thread(invoice_book.create_invoice, self._ledger, wanted, now_ms)

    async def GetInvoice(self, request: pb.GetInvoiceRequest) -> pb.Invoice:
        check_id("invoice_number", request.invoice_number)
        return await asyncio.to_thread(self._read, invoice_book.get_invoice, request.invoice_number)

    async def ListInvoices(self, request: pb.ListInvoicesRequest) -> pb.ListInvoicesResponse:
        listing = invoice_book.Listing.of(request)
        return await asyncio.to_thread(self._read, invoice_book.list_invoices, listing)

    async def ListGrants(self, request: pb.ListGrantsRequest) -> pb.ListGrantsResponse:
        query = GrantQuery.of(request)
        await self._fresh(query.account_id)
        return await asyncio.to_thread(self._read, list_grants, query)

    async def ListEvents(self, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        query = EventQuery.of(request)
        await self._fresh(query.account_id or None)
        return await asyncio.to_thread(self._read, list_events, query)

    async def CheckBooks(self, request: pb.CheckBooksRequest) -> pb.CheckBooksResponse:
        if request.account_id:
            check_id("account_id", request.account_id)
        return await check_books(self._ledger, self._redis, self._fresh, request.account_id or None)

    def _read(self, read: Callable[[Connection, Query], Response], query: Query) -> Response:
        with self._ledger.read() as connection:
            return read(connection, query)
