"""Tells who asked for a change, so that the ledger can keep the name."""

from contextvars import ContextVar

# The name of the caller's token while a change is recorded; empty where nobody has to say.
ACTOR: ContextVar[str] = ContextVar("actor", default="")
