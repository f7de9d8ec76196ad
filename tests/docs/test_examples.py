"""The examples of the README and of docs/ work as printed.

Each page is followed as a reader would: `creditgate up` runs in the first terminal, all other
blocks are run in a second one, in order; a block that begins with `# while nothing runs` once the
service is stopped. A page that does not begin with `creditgate up` goes on where the README's
commands end. Blocks marked `text` are not run.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.pages import PAGES, README, Block, blocks_of, name_of
from support.processes import install_command
from support.stack import Process, free_port

RUN = {"sh", "python", "yaml"}
NOT_RUN = {"text"}
LISTEN = "127.0.0.1:50051"  # as the pages print the address
UP = "creditgate up"
STOPPED = "# while nothing runs"


def is_runnable(page: Path) -> bool:
    return any(block.language in RUN for block in blocks_of(page))


def starts_the_service(block: Block) -> bool:
    return block.language == "sh" and block.text.startswith(UP)


class Reader:
    """Somebody who types what the pages say, with a directory and a service of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listen = f"127.0.0.1:{free_port()}"
        self._service: Process | None = None
        self._starts = 0
        commands = folder / "commands"
        commands.mkdir()
        install_command(commands)
        others = {
            name: value for name, value in os.environ.items() if not name.startswith("CREDITGATE_")
        }
        self._environment = others | {
            "PATH": os.pathsep.join(
                [str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
            "CREDITGATE_DATA_DIR": str(folder / "data"),
            "CREDITGATE_LISTEN": self._listen,
            "CREDITGATE_BILLING_LISTEN": f"127.0.0.1:{free_port()}",
            "CREDITGATE_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
        }

    def follow(self, page: Path) -> None:
        """Runs the page's blocks in order; each must succeed."""
        blocks = [block for block in blocks_of(page) if block.language in RUN]
        if not starts_the_service(blocks[0]):
            self._prepare()
        for block in blocks:
            self._run(block)

    def stop(self) -> None:
        """Stops the service, which must end well."""
        if self._service is not None:
            assert self._service.stop() == 0, self._service.log.read_text()
            self._service = None

    def _prepare(self) -> None:
        for block in blocks_of(README):
            if block.language == "sh":
                self._run(block)

    def _run(self, block: Block) -> None:
        text = block.text.replace(LISTEN, self._listen)
        if starts_the_service(block):
            self._start(shlex.split(text, comments=True))
        elif block.language == "sh":
            if text.startswith(STOPPED):
                self.stop()
            self._type(["sh", "-euc", text], text)
        elif block.language == "python":
            program = self._folder / "example.py"
            program.write_text(text)
            self._type([sys.executable, str(program)], text)
        else:
            self._write(text)

    def _start(self, words: list[str]) -> None:
        self.stop()
        self._starts += 1
        log = self._folder / f"up-{self._starts}.log"
        self._service = Process(words[1:], self._environment, log)
        self._service.start()

    def _type(self, command: list[str], text: str) -> None:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"

    def _write(self, text: str) -> None:
        """Keeps a file, whose name stands in its first line, as `# name`."""
        name = text.splitlines()[0].removeprefix("# ")
        (self._folder / name).write_text(text)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.chdir(tmp_path)  # where `creditgate up` is typed
    reader = Reader(tmp_path)
    yield reader
    reader.stop()


@pytest.mark.timeout(900)  # a page starts a service or two, and a process for each command
@pytest.mark.parametrize("page", [page for page in PAGES if is_runnable(page)], ids=name_of)
def test_a_pages_examples_work_as_printed(page: Path, reader: Reader) -> None:
    reader.follow(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_run_or_visibly_marked_as_not_to_be_run(page: Path) -> None:
    assert {block.language for block in blocks_of(page)} <= RUN | NOT_RUN


def test_the_pages_that_show_how_to_begin_are_run() -> None:
    run = {name_of(page) for page in PAGES if is_runnable(page)}
    assert {"README.md", "docs/getting-started.md", "docs/calling.md"} <= run
