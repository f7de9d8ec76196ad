"""`creditgate` in a shell of the tests: asks the launcher for the process, and ends as that ends.

Imports little, since it is started for each command of a page.
"""

import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence


def request(
    launcher: str, words: Sequence[str], environment: Mapping[str, str], streams: Sequence[int]
) -> socket.socket:
    """Asks for `creditgate WORDS` in this process's folder; returns where the answers come from."""
    asked = {"words": list(words), "environment": dict(environment), "directory": os.getcwd()}  # noqa: PTH109 - pathlib costs more than all the rest
    line = json.dumps(asked).encode() + b"\n"
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(launcher)
    sent = socket.send_fds(connection, [line], list(streams))
    connection.sendall(line[sent:])
    return connection


def main() -> None:
    """Runs the command in this process's place."""
    launcher, *words = sys.argv[1:]
    answers = request(launcher, words, os.environ, [0, 1, 2]).makefile()
    answers.readline()  # the pid
    sys.exit(int(answers.readline()))


if __name__ == "__main__":
    main()
