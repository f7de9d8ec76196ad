"""The owner of a shard: which ledger the shard's data belong to, and in which store they are.

A ledger and a store know each other. The store names both in the hash `cg:{NN}:shard`, written in
the step that begins an epoch; the ledger names the store in the shard's row. Where the two names
differ, nothing may be decided, fenced, read or trimmed: a credit could be spent once in each store.

| field     | meaning                                                                           |
|-----------|-----------------------------------------------------------------------------------|
| `owner`   | "ledger store form": the two ids, and the form of all that stands in the store    |
| `flushed` | how far the ledger had come when entries were last taken away, or an epoch began; |
|           | a ledger that is not as far is a backup                                           |
"""

from functools import cache
from typing import NamedTuple, Self

# Counts the forms that records in Redis have had. A version that writes or reads any record in
# another way has another number, and the shards that it meets must be of its own form.
FORM = 1


class Owner(NamedTuple):
    """Names a ledger, and the store of one of the ledger's shards."""

    ledger_id: str
    store_id: str  # random; made when the shard is first opened on an empty store
    form: int = FORM

    @classmethod
    def decode(cls, text: bytes) -> Self:
        ledger_id, store_id, form = text.decode().split(" ")
        return cls(ledger_id, store_id, int(form))

    def encode(self) -> str:
        return f"{self.ledger_id} {self.store_id} {self.form}"


@cache
def shard_key(shard: int) -> str:
    return f"cg:{{{shard:02}}}:shard"
