"""A reader of the ledger: pages of 1,000 entries from billing, one after the other.

`python reading.py TARGET ACCOUNT` reads until SIGTERM, and then prints how many pages it has read.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from processes import Failed, Running, Stack

from meter.v1.ledger_pb2 import ListEntriesRequest, ListEntriesResponse

PAGE_ENTRIES = 1_000
_NICENESS = 10  # as billing's: a reader has a machine of its own elsewhere


@contextmanager
def reading(stack: Stack, account: str) -> Iterator[Running]:
    """Runs a reader meanwhile; Failed if the reader has ended before it is told to."""
    words = [sys.executable, __file__, stack.settings.billing_listen.grpc_target, account]
    reader = Running(words, os.environ, Path(stack.folder) / "reader.log")
    try:
        reader.wait_ready()
        yield reader
        if not reader.is_running:
            raise Failed("the reader has ended by itself")
    finally:
        reader.stop()


def _read(target: str, account: str) -> None:
    os.nice(_NICENESS)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    request = ListEntriesRequest(account_id=account, page_size=PAGE_ENTRIES).SerializeToString()
    pages = 0
    with grpc.insecure_channel(target) as channel:
        # As bytes: how long a client takes to parse a page is not the product's affair.
        list_entries = channel.unary_unary("/meter.v1.Ledger/ListEntries")
        first = ListEntriesResponse.FromString(list_entries(request))
        assert len(first.entries) == PAGE_ENTRIES, f"a page has {len(first.entries)} entries"
        print("ready", flush=True)
        while not stop.is_set():
            list_entries(request)
            pages += 1
    print(f"pages {pages}")


if __name__ == "__main__":
    _read(sys.argv[1], sys.argv[2])
