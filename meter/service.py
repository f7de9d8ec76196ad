"""The Ledger's calls: read the request, wait until the ledger is up to date, read the books, answer.

The methods know no gRPC server: they take a message and return one, and raise a ServiceError when
they cannot answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import Connection

from meter.audit import StoreInspector, check_books
from meter.database.engine import Ledger
from meter.ids import check_id
from meter.invoices import repository
from meter.statements import history
from meter.statements.events import EventQuery, list_events
from meter.statements.grants import GrantQuery, list_grants
from meter.v1 import ledger_pb2 as pb

Query = TypeVar("Query")
Response = TypeVar("Response")


class LedgerService:
    """meter.v1.Ledger; what each call means stands in proto/meter/v1/ledger.proto.

    `wait_until_flushed` returns when the ledger holds all that Redis had acknowledged for an
    account (None: for all), or raises Unavailable. `clock` is the store's, in ms: once it has
    passed a period's end and the ledger is wait_until_flushed, nothing more can come into the
    period.
    """

    def __init__(
        self,
        ledger: Ledger,
        wait_until_flushed: Callable[[str | None], Awaitable[None]],
        clock: Callable[[], Awaitable[int]],
        redis: StoreInspector,
    ) -> None:
        self._ledger = ledger
        self._wait_until_flushed = wait_until_flushed
        self._clock = clock
        self._redis = redis

    async def ListEntries(self, request: pb.ListEntriesRequest) -> pb.ListEntriesResponse:
        query = history.EntryQuery.of(request)
        await self._wait_until_flushed(query.account_id)
        return await asyncio.to_thread(self._read, history.list_entries, query)

    async def QueryUsage(self, request: pb.QueryUsageRequest) -> pb.QueryUsageResponse:
        query = history.UsageQuery.of(request)
        await self._wait_until_flushed(query.account_id)
        return await asyncio.to_thread(self._read, history.query_usage, query)

    async def CreateInvoice(self, request: pb.CreateInvoiceRequest) -> pb.Invoice:
        wanted = repository.CreateInvoiceQuery.of(request)
        # before `wait_until_flushed`: what comes later than both is not in the period, if that has
        # ended
        now_ms = await self._clock()
        await self._wait_until_flushed(wanted.account_id)
        return await asyncio.to_thread(repository.create_invoice, self._ledger, wanted, now_ms)

    async def GetInvoice(self, request: pb.GetInvoiceRequest) -> pb.Invoice:
        check_id("invoice_number", request.invoice_number)
        return await asyncio.to_thread(self._read, repository.get_invoice, request.invoice_number)

    async def ListInvoices(self, request: pb.ListInvoicesRequest) -> pb.ListInvoicesResponse:
        listing = repository.ListInvoicesQuery.of(request)
        return await asyncio.to_thread(self._read, repository.list_invoices, listing)

    async def ListGrants(self, request: pb.ListGrantsRequest) -> pb.ListGrantsResponse:
        query = GrantQuery.of(request)
        await self._wait_until_flushed(query.account_id)
        return await asyncio.to_thread(self._read, list_grants, query)

    async def ListEvents(self, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        query = EventQuery.of(request)
        await self._wait_until_flushed(query.account_id or None)
        return await asyncio.to_thread(self._read, list_events, query)

    async def CheckBooks(self, request: pb.CheckBooksRequest) -> pb.CheckBooksResponse:
        if request.account_id:
            check_id("account_id", request.account_id)
        return await check_books(
            self._ledger, self._redis, self._wait_until_flushed, request.account_id or None
        )

    def _read(self, read: Callable[[Connection, Query], Response], query: Query) -> Response:
        with self._ledger.read() as connection:
            return read(connection, query)
