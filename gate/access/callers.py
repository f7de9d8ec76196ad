"""Finds the caller who bears a token."""

import time
from collections.abc import Iterable
from contextvars import ContextVar

from gate.access.roles import Right
from gate.access.token_file import Token
from gate.token_text import digest_of

_SCHEME = b"bearer "
_STAR = "*"

# The `authorization` header of the call that runs, set by the server; empty without a header.
_presented: ContextVar[bytes] = ContextVar("presented", default=b"")


def present(header: object) -> None:
    """Tells the guard what the call that begins has as its `authorization` header.

    Anything but bytes means that the call has no such header.
    """
    if isinstance(header, bytes):
        _presented.set(header)
    else:
        _presented.set(b"")


class Caller:
    """Holds what the bearer of a token may do."""

    def __init__(self, token: Token) -> None:
        self.name = token.name
        self._roles = frozenset(token.roles)
        self._expires_s: float | None = None
        if token.expires_at is not None:
            self._expires_s = token.expires_at.timestamp()
        self.is_for_all_accounts = token.accounts is None
        scope = token.accounts or ()
        self._accounts = frozenset(each for each in scope if not each.endswith(_STAR))
        self._beginnings = tuple(each[:-1] for each in scope if each.endswith(_STAR))

    @property
    def is_expired(self) -> bool:
        return self._expires_s is not None and self._expires_s <= time.time()

    def has(self, right: Right) -> bool:
        """Tells whether one of the caller's roles gives the right."""
        return not self._roles.isdisjoint(right.roles)

    def is_for(self, account_id: str) -> bool:
        """Tells whether the caller may see the account; an empty id stands for all accounts."""
        if self.is_for_all_accounts:
            return True
        if not account_id:
            return False
        return account_id in self._accounts or account_id.startswith(self._beginnings)


class Callers:
    """Knows the callers by the digests of their tokens; `use` replaces all of them at once."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self.use(tokens)

    def use(self, tokens: Iterable[Token]) -> None:
        """Puts these tokens in force, in place of all others."""
        self._by_digest = {bytes.fromhex(token.sha256): Caller(token) for token in tokens}

    def presented(self) -> tuple[Caller | None, str]:
        """Returns the caller of the call that runs, or None and why: missing, unknown, expired."""
        header = _presented.get()
        if header[: len(_SCHEME)].lower() != _SCHEME:
            return None, "missing"
        # The token is hashed before it is looked for, so that no time tells how far one was right.
        caller = self._by_digest.get(digest_of(header[len(_SCHEME) :]))
        if caller is None:
            return None, "unknown"
        if caller.is_expired:
            return None, "expired"
        return caller, ""
