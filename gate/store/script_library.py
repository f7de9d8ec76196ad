"""The Lua scripts: the files of gate/lua, made into one library of functions for Redis to keep.

Redis makes a library's functions, and everything they share, once, when the library is loaded; a
script of its own would make them anew for every call. The names of the library and the functions
end in a digest of the code, so that gates of different versions may share a Redis.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

from gate.store.contracts import KEYS

# The files under gate/lua that scripts share; each uses only what stands above it.
LIBRARY_ORDER = (
    "lib/library",
    "lib/arithmetic",
    "lib/account",
    "lib/journal",
    "lib/spend_management",
    "lib/grants",
    "lib/grant_changes",
    "lib/budgets",
    "lib/budget_changes",
    "lib/hold",
    "lib/admission",
)

# The scripts; each file registers one function, under its own name.
SCRIPT_ORDER = (
    "authorize",
    "debit",
    "extend",
    "release",
    "get_balance",
    "operations/create_account",
    "operations/update_account",
    "operations/advance_clock",
    "operations/grant_credits",
    "operations/void_grant",
    "operations/set_budget",
    "operations/delete_budget",
    "upkeep/open_epoch",
    "upkeep/load_account",
    "upkeep/process_due_grants",
    "upkeep/expire",
    "upkeep/inspect_account",
)

NAME_PREFIX = "creditgate_"
_DIGEST_LENGTH = 12  # hex digits


@dataclass(frozen=True, slots=True)
class Library:
    """Holds every script as a function, in the form that FUNCTION LOAD takes."""

    digest: str
    code: str

    @property
    def name(self) -> str:
        return f"{NAME_PREFIX}{self.digest}"

    def function(self, name: str) -> str:
        """Returns the name under which FCALL knows the script."""
        return f"{name}_{self.digest}"


def script_names() -> tuple[str, ...]:
    """Returns the name of every script."""
    return tuple(KEYS)


@cache
def library() -> Library:
    """Returns the library of this version."""
    shared = "".join(lua_source(name) for name in LIBRARY_ORDER)
    # A block for each script: its local functions are its own.
    scripts = "".join(f"do\n{lua_source(name)}end\n" for name in SCRIPT_ORDER)
    code = shared + scripts
    digest = sha256(code.encode()).hexdigest()[:_DIGEST_LENGTH]
    head = f"#!lua name={NAME_PREFIX}{digest}\nlocal LIBRARY_DIGEST = '{digest}'\n"
    return Library(digest, head + code)


@cache
def lua_source(name: str) -> str:
    """Returns the text of the script file of this name in gate/lua."""
    return (files("gate") / "lua" / f"{name}.lua").read_text("utf-8")
