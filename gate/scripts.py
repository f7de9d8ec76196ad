"""The Lua scripts: read from gate/lua, their includes put in, known by their SHA-1."""

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files

_INCLUDE = re.compile(r"^-- @include (\w+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One operation's script, as Redis is to run it."""

    name: str
    source: str
    sha: str


@cache
def script(name: str) -> Script:
    """The script gate/lua/NAME.lua, ready to load."""
    folder = files("gate") / "lua"
    source = _INCLUDE.sub(
        lambda found: (folder / "include" / f"{found[1]}.lua").read_text("utf-8"),
        (folder / f"{name}.lua").read_text("utf-8"),
    )
    return Script(name, source, sha1(source.encode(), usedforsecurity=False).hexdigest())


def all_scripts() -> list[Script]:
    """Every script there is, by name."""
    names = sorted(
        path.name.removesuffix(".lua") for path in (files("gate") / "lua").iterdir() if path.name.endswith(".lua")
    )
    return [script(name) for name in names]
