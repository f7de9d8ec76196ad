"""`creditgate up`: children are kept running, deaths are told, and all end in order, however the
supervisor ends.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gate.process.data_dir import DataDirLock

REPOSITORY = Path(__file__).resolve().parents[2]

# A child that tells in a diary what happens to it. The mode says how it behaves.
STUB = """
import os, signal, sys
sys.path.insert(0, {repository!r})
name, mode = sys.argv[1:]
def tell(what):
    with open("diary", "a") as diary:
        diary.write(f"{{name}} {{what}} {{os.getpid()}}\\n")
def stop(*_):
    tell("stopped")
    sys.exit(0)
def meet(*_):
    tell("asked")
    while open("diary").read().count("asked") < 2:
        pass
    stop()
signal.signal(signal.SIGTERM, {{"stubborn": signal.SIG_IGN, "meets": meet}}.get(mode, stop))
tell("started")
if mode == "fails":
    sys.exit("the port is in use")
if mode == "once":
    sys.exit(0)
if mode == "watches parent":
    from gate.process.exit_with_parent import exit_with_parent
    exit_with_parent()
if mode != "mute":
    print(f"{{name}} is ready", flush=True)
while True:
    signal.pause()
"""

SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from gate.process.data_dir import DataDirLock
from gate.process.child import ChildSpec, StartupError
from gate.process.logging import configure_logging
from gate.settings import load_settings
from gate.process.supervisor import Supervisor
async def fail():
    raise StartupError("no answer")
lock = DataDirLock(Path("lock"))
assert lock.acquire()
configure_logging(load_settings(log_level="debug", log_format="json"), "supervisor")
def child(name, mode, **options):
    return ChildSpec(name=name, argv=(sys.executable, "-S", "stub.py", name, mode), **options)
try:
    sys.exit(asyncio.run(Supervisor([{children}], "all ready").run()))
except StartupError as failure:
    sys.exit(str(failure))
"""


@dataclass
class Run:
    """A supervisor of stubs, as a process of its own."""

    process: subprocess.Popen[str]
    directory: Path

    @property
    def diary(self) -> list[str]:
        """What the children told, in order: "name what"."""
        return [line.rpartition(" ")[0] for line in self._lines()]

    def pids(self, name: str) -> list[int]:
        return [
            int(line.rpartition(" ")[2])
            for line in self._lines()
            if line.startswith(f"{name} started")
        ]

    def _lines(self) -> list[str]:
        diary = self.directory / "diary"
        return diary.read_text().splitlines() if diary.exists() else []

    @property
    def messages(self) -> str:
        return (self.directory / "stderr").read_text()

    def events(self, name: str) -> list[dict[str, object]]:
        logged = [json.loads(line) for line in self.messages.splitlines() if line.startswith("{")]
        return [event for event in logged if event["event"] == name]

    def until_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "all ready\n", self.messages

    def end(self) -> int:
        return self.process.wait(10)


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[[str], Run]]:
    started: list[Run] = []

    def start(children: str) -> Run:
        (tmp_path / "stub.py").write_text(STUB.format(repository=str(REPOSITORY)))
        with (tmp_path / "stderr").open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-c", SUPERVISOR.format(children=children)],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        started.append(Run(process, tmp_path))
        return started[-1]

    yield start
    for run in started:
        run.process.kill()
        run.process.communicate()
        for line in run._lines():
            with_pid = int(line.rpartition(" ")[2])
            if is_alive(with_pid):
                os.kill(with_pid, signal.SIGKILL)


Supervise = Callable[[str], Run]


def test_it_announces_once_when_all_are_ready(supervise: Supervise) -> None:
    run = supervise("child('a', 'good'), child('b', 'good')")
    run.until_ready()
    assert sorted(run.diary) == ["a started", "b started"]
    run.process.terminate()
    assert run.end() == 0
    assert run.process.stdout is not None
    assert run.process.stdout.read() == ""


def test_a_child_waits_for_those_it_comes_after(supervise: Supervise) -> None:
    run = supervise(
        "child('c', 'good', after=('a', 'b')), child('a', 'once', once=True), child('b', 'good')"
    )
    run.until_ready()
    assert run.diary[-1] == "c started"


def test_it_announces_nothing_while_a_child_is_not_ready(supervise: Supervise) -> None:
    run = supervise("child('a', 'mute'), child('b', 'good', after=('a',))")
    wait_until(lambda: run.diary == ["a started"])
    run.process.terminate()
    assert run.end() == 0
    assert run.process.stdout is not None
    assert run.process.stdout.read() == ""
    assert run.diary == ["a started", "a stopped"]


def test_a_child_that_dies_is_restarted_and_it_says_so(supervise: Supervise) -> None:
    run = supervise("child('a', 'good'), child('b', 'good')")
    run.until_ready()
    for ready in (3, 4, 5):
        os.kill(run.pids("a")[-1], signal.SIGKILL)
        wait_until(lambda expected=ready: len(run.events("child_ready")) == expected)  # type: ignore[misc]
    assert len(run.pids("b")) == 1
    assert [
        (death["child"], death["ended"], death["restarts"]) for death in run.events("child_died")
    ] == [("a", "killed by SIGKILL", restarts) for restarts in range(1, 4)]


def test_children_end_in_the_reverse_of_their_order(supervise: Supervise) -> None:
    run = supervise("child('store', 'good'), child('flusher', 'good'), child('gate', 'good')")
    run.until_ready()
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 0
    assert run.diary[3:] == ["gate stopped", "flusher stopped", "store stopped"]
    assert run.events("child_died") == []


def test_children_of_one_stage_end_at_the_same_time(supervise: Supervise) -> None:
    run = supervise(
        "child('store', 'good'), child('a', 'meets', stage='gate'), child('b', 'meets', stage='gate')"
    )
    run.until_ready()
    run.process.terminate()
    assert run.end() == 0
    assert sorted(run.diary[3:5]) == ["a asked", "b asked"]
    assert run.diary[-1] == "store stopped"


def test_a_child_that_does_not_stop_in_time_is_killed(supervise: Supervise) -> None:
    run = supervise("child('a', 'good'), child('b', 'stubborn', grace_s=0.05)")
    run.until_ready()
    run.process.terminate()
    assert run.end() == 0
    assert [event["child"] for event in run.events("child_killed")] == ["b"]
    assert run.diary[-1] == "a stopped"
    assert not is_alive(run.pids("b")[0])


def test_a_second_signal_kills_at_once(supervise: Supervise) -> None:
    run = supervise("child('a', 'stubborn'), child('b', 'stubborn')")
    run.until_ready()
    run.process.terminate()
    wait_until(lambda: run.events("stopping_children"))
    run.process.terminate()
    assert run.end() == 1
    assert not any(is_alive(pid) for name in "ab" for pid in run.pids(name))


def test_a_child_that_cannot_start_ends_the_supervisor_after_five_tries(
    supervise: Supervise,
) -> None:
    run = supervise("child('a', 'good'), child('b', 'fails', last_words=lambda: 'its last words')")
    assert run.end() == 1
    assert len(run.pids("b")) == 5
    assert "the port is in use" in run.messages
    assert "b ended 5 times before it was ready: exit status 1" in run.messages
    assert "its last words" in run.messages
    assert run.diary[-1] == "a stopped"


def test_what_has_to_be_done_once_is_not_tried_again_and_nothing_follows_it(
    supervise: Supervise,
) -> None:
    run = supervise(
        "child('migrate', 'fails', once=True), child('gate', 'good', after=('migrate',))"
    )
    assert run.end() == 1
    assert run.diary == ["migrate started"]
    assert "migrate ended before it was ready: exit status 1" in run.messages


def test_a_command_that_does_not_exist_is_named(supervise: Supervise) -> None:
    run = supervise("ChildSpec(name='a', argv=('/no/such/command',), once=True)")
    assert run.end() == 1
    assert "No such file or directory: '/no/such/command'" in run.messages


def test_a_probe_that_fails_counts_as_a_death(supervise: Supervise) -> None:
    run = supervise("child('a', 'mute', probe=fail)")
    assert run.end() == 1
    assert [event["why"] for event in run.events("child_not_ready")] == ["no answer"] * 5
    assert not any(is_alive(pid) for pid in run.pids("a"))


def test_children_end_when_the_supervisor_is_killed(supervise: Supervise) -> None:
    run = supervise("child('a', 'watches parent'), child('b', 'watches parent')")
    run.until_ready()
    run.process.kill()
    wait_until(lambda: sorted(run.diary[2:]) == ["a stopped", "b stopped"])


def test_ctrl_c_in_the_terminal_reaches_only_the_supervisor(supervise: Supervise) -> None:
    run = supervise("child('a', 'good')")
    run.until_ready()
    assert os.getpgid(run.pids("a")[0]) != os.getpgid(run.process.pid)


def test_a_child_holds_what_it_inherited_until_it_is_gone(
    supervise: Supervise, tmp_path: Path
) -> None:
    run = supervise("child('a', 'good', inherited_fds=(lock.fd,))")
    run.until_ready()
    run.process.kill()
    run.process.wait()
    lock = DataDirLock(tmp_path / "lock")
    assert not lock.acquire()
    os.kill(run.pids("a")[0], signal.SIGKILL)
    wait_until(lock.acquire)
    lock.close()
