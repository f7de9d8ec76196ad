"""The Lua scripts: read from gate/lua, and made into one library of functions for Redis to keep.

A library's functions and everything they share are made once, when it is loaded; a script would
make them anew for every call. Its name and its functions' end in a digest of its code, so that
gates of different versions may share a Redis.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

_INCLUDE = re.compile(r"^-- @include (\w+)\n", re.MULTILINE)
_FLAGS = re.compile(r"#!lua(?: flags=(\S+))?\n")
_DIGEST = 12  # hex digits


@dataclass(frozen=True, slots=True)
class Script:
    """One operation's script: what it includes, in order, and what it does with KEYS and ARGV."""

    name: str
    flags: tuple[str, ...]  # of Redis: allow-oom, no-writes
    includes: tuple[str, ...]
    body: str

    @property
    def source(self) -> str:
        """All of it, as EVAL would run it."""
        shebang = "#!lua" + (f" flags={','.join(self.flags)}" if self.flags else "")
        return "\n".join((shebang, *map(_included, self.includes), self.body))


@dataclass(frozen=True, slots=True)
class Library:
    """Every script as a function, as FUNCTION LOAD takes it."""

    digest: str
    code: str

    def function(self, name: str) -> str:
        """What FCALL calls the script."""
        return f"{name}_{self.digest}"


@cache
def script(name: str) -> Script:
    """The script gate/lua/NAME.lua."""
    text = script_files()[name].read_text("utf-8")
    shebang = _FLAGS.match(text)
    assert shebang is not None, f"{name}.lua begins with #!lua"
    flags = tuple(shebang[1].split(",")) if shebang[1] else ()
    return Script(
        name, flags, tuple(_INCLUDE.findall(text)), _INCLUDE.sub("", text[shebang.end() :])
    )


@cache
def all_scripts() -> tuple[Script, ...]:
    """Every script there is, by name."""
    return tuple(script(name) for name in sorted(script_files()))


@cache
def script_files() -> dict[str, Traversable]:
    """Each script's file, by name."""
    folder = files("gate") / "lua"
    rooms = (folder, folder / "operations", folder / "upkeep")
    return {
        path.name.removesuffix(".lua"): path
        for room in rooms
        for path in room.iterdir()
        if path.name.endswith(".lua")
    }


@cache
def library() -> Library:
    """The library of this version."""
    digest = sha256("".join(_parts("")).encode()).hexdigest()[:_DIGEST]
    return Library(digest, f"#!lua name=creditgate_{digest}\n" + "".join(_parts(f"_{digest}")))


def _parts(suffix: str) -> Iterator[str]:
    """What is shared, each after what it needs; then the functions."""
    order: TopologicalSorter[str] = TopologicalSorter()
    for each in all_scripts():
        for at, name in enumerate(each.includes):
            order.add(name, *each.includes[:at])
    yield from map(_included, order.static_order())
    for each in all_scripts():
        flags = ", ".join(f"'{flag}'" for flag in each.flags)
        yield (
            f"\nredis.register_function{{function_name = '{each.name}{suffix}', flags = {{{flags}}}, "
            f"callback = function(KEYS, ARGV)\n{each.body}\nend}}\n"
        )


def _included(name: str) -> str:
    return (files("gate") / "lua" / "lib" / f"{name}.lua").read_text("utf-8")
