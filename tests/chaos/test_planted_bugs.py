"""Bugs that are planted in a copy of the source are found by the tests that are there for them.

Each is of a kind that nothing but a test would show: all calls are answered, and a crash at the
wrong moment spends a credit twice.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.chaos

ROOT = Path(__file__).parents[2]
COPIED = ("gate", "meter", "tests", "pyproject.toml")


class Bug(NamedTuple):
    """Says what is changed where, and which test must fail then."""

    file: str
    right: str
    wrong: str
    test: str


BUGS = {
    "after a restart of the store, only the first shard is closed": Bug(
        "gate/store/shards.py",
        "            for shard in range(self.count):\n                self.close(shard)\n",
        "            for shard in range(1):\n                self.close(shard)\n",
        "tests/recovery/test_losses.py::test_a_redis_that_comes_back_older_than_the_ledger_goes_on_from_the_ledger",
    ),
    "the ledger is not looked at again behind the store": Bug(
        "gate/store/shards.py",
        "if state in STOPS and await self._has_changed(shard, known):",
        "if False:",
        "tests/store/test_shards.py::test_gates_that_begin_at_once_agree_and_refuse_nobody",
    ),
    "the ledger passes over a gap before the journal is fenced": Bug(
        "meter/ledger/posting.py",
        "        fence(batch.shard, first.epoch + 1, position)\n",
        "",
        "tests/ledger/test_flusher_losses.py::test_a_gap_is_recorded_the_shard_fenced_and_the_rest_flushed",
    ),
    "functions that were flushed are not loaded again": Bug(
        "gate/store/script_runner.py",
        '"Function not found" in str(reply)',
        '"Function not here" in str(reply)',
        "tests/store/test_connections.py::test_scripts_that_redis_has_forgotten_are_loaded_again_and_run_once",
    ),
    "entries are taken from the journal without a look at the owner": Bug(
        "meter/journals.py",
        "if redis.call('HGET', KEYS[2], 'owner') ~= ARGV[1] then return 'foreign' end\nredis.call('XTRIM'",
        "redis.call('XTRIM'",
        "tests/ledger/test_journals.py::test_a_stranger_neither_takes_entries_away_nor_fences",
    ),
    "a reconciliation takes what was used for what was never there": Bug(
        "meter/ledger/reconciliation/telling.py",
        "        if used:\n            taken = spent\n",
        "        if used < 0:\n            taken = spent\n",
        "tests/ledger/test_reconciliation.py::test_what_was_pending_and_what_was_not_flushed_is_taken_over_and_told_by_sums",
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The source as it is."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())
def test_a_planted_bug_is_found(copy: Path, bug: Bug) -> None:
    path = copy / bug.file
    text = path.read_text()
    assert text.count(bug.right) == 1, "the line that is to be changed is there, once"
    path.write_text(text.replace(bug.right, bug.wrong))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    # In the copy's directory, `-m` finds the copy before what is installed.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", bug.test],
        cwd=copy,
        env=clean,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 1, f"{bug.test} was to fail: {done.stdout}{done.stderr}"
    assert "1 failed" in done.stdout
