"""Runs the tests of safety/ against every change that mutmut makes to it, and keeps mutmut's books.

mutmut makes the changes and shows them; its own loop is not used, because it would take most of a day here. This one
collects the tests once and forks for every change, tries the tests first that noticed the neighbouring changes, and
imports everything anew where none noticed a change of what runs at import: before that it was not there to be noticed.

    python scripts/mutation.py [--again] PATTERN...     those without a verdict, by mutmut's names; or all of them
"""

from __future__ import annotations

import fnmatch
import gc
import json
import os
import resource
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import mutmut.__main__ as mutmut
import pytest
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir, setup_source_paths, walk_mutatable_files
from mutmut.utils.format_utils import mangled_name_from_mutant_name as function_of

KILLED, SURVIVED, UNTESTED = 1, 0, 33  # as mutmut counts them
KILLERS = 6  # tests that are tried first: those that noticed the latest changes of the same function
SPARE_S = 10  # s of processor time beyond eight times what the tests take; more is a change that never ends


def changes(patterns: list[str], *, again: bool) -> list[tuple[SourceFileMutationData, str]]:
    """Makes the changes, and lists those that are to be tried with the book that keeps their verdict."""
    set_mutant_under_test("mutant_generation")
    Path("mutants").mkdir(exist_ok=True)
    copy_src_dir()
    copy_also_copy_files()
    setup_source_paths()
    mutmut.create_mutants(1)
    found = []
    for path in walk_mutatable_files():
        book = SourceFileMutationData(path=path)
        book.meta_path = book.meta_path.absolute()
        book.load()
        for name, verdict in book.exit_code_by_key.items():
            wanted = again or verdict is None
            if wanted and any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
                found.append((book, name))
    return found


class Loop:
    """A pytest plugin that runs the collected tests against change after change instead of once."""

    def __init__(self, todo: list[tuple[SourceFileMutationData, str]]) -> None:
        self._todo = todo
        self._seconds: dict[str, float] = {}
        self._touching: dict[str, set[str]] = defaultdict(set)  # tests by the function they call
        self._killers: dict[str, list[str]] = defaultdict(list)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Watches what every test touches, then tries the changes."""
        warnings.simplefilter("error")  # as in pyproject.toml
        config().track_dependencies = False
        self._session = session
        self._items = {item.nodeid: item for item in session.items}
        for name in self._items:
            self._watch(name)
        self._imported = self._at_import()
        counts: Counter[int] = Counter()
        gc.collect()
        gc.freeze()
        for number, (book, change) in enumerate(self._todo, start=1):
            verdict = self._try(change)
            book.exit_code_by_key[change] = verdict
            book.save()
            counts[verdict] += 1
            if verdict != KILLED:
                say(f"{change}: {'survived' if verdict in (SURVIVED, UNTESTED) else verdict}")
            if number % 100 == 0 or number == len(self._todo):
                say(f"  {number} of {len(self._todo)}, {counts[KILLED]} killed")
        return True

    def _watch(self, name: str) -> None:
        set_mutant_under_test("")
        started = time.process_time()
        if not passes(self._items[name]):
            raise SystemExit(f"{name} fails without any change")
        self._seconds[name] = time.process_time() - started
        set_mutant_under_test("stats")
        state()._stats.clear()
        passes(self._items[name])
        for function in state()._stats:
            self._touching[function].add(name)

    def _at_import(self) -> set[str]:
        """The functions that run when safety and its tests are imported."""
        read, write = os.pipe()
        if (child := os.fork()) == 0:
            set_mutant_under_test("stats")
            state()._stats.clear()
            self._forget_imports()
            self._session.perform_collect()
            os.write(write, json.dumps(sorted(state()._stats)).encode())
            os._exit(0)
        os.waitpid(child, 0)
        return set(json.loads(os.read(read, 1 << 16)))

    def _forget_imports(self) -> None:
        package = next(iter(self._items.values())).module.__name__.split(".")[0]
        for name in list(sys.modules):
            if name.startswith("forearm.safety") or name.split(".")[0] == package:
                del sys.modules[name]

    def _imported_again(self, tests: list[str]) -> Iterator[pytest.Item]:
        """Those tests, whose files are collected anew as their turn comes: their parameters are of the classes then."""
        self._forget_imports()
        again: dict[str, pytest.Item] = {}
        for name in tests:
            if name not in again:
                again |= {item.nodeid: item for item in self._session.perform_collect([name.split("::")[0]])}
            yield again[name]

    def _order(self, change: str) -> list[str]:
        """The tests that can notice it, the likely and the quick ones first."""
        function, file = function_of(change), change.split(".")[2]
        tests = set(self._items) if function in self._imported else self._touching[function]
        own = f"/test_{file}.py"
        by_time = sorted(tests, key=lambda name: self._seconds[name] * (0.1 if own in name else 1.0))
        first = [name for name in self._killers[function] if name in tests]
        return first + [name for name in by_time if name not in first]

    def _try(self, change: str) -> int:
        order = self._order(change)
        if not order:
            return UNTESTED
        read, write = os.pipe()
        if (child := os.fork()) == 0:
            self._judge(change, order, write)
        os.close(write)
        _, status = os.waitpid(child, 0)
        with os.fdopen(read) as pipe:
            killer = pipe.read()
        if killer:
            known = self._killers[function_of(change)]
            known[:] = [killer, *(name for name in known if name != killer)][:KILLERS]
        return os.waitstatus_to_exitcode(status)

    def _judge(self, change: str, order: list[str], write: int) -> None:
        """In the child: ends with the verdict, and names the test that noticed."""
        limit_s = SPARE_S + round(8 * sum(self._seconds[name] for name in order))  # they may run twice
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s + 1))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        set_mutant_under_test(change)
        try:
            function = function_of(change)
            calling = (name for name in order if name in self._touching[function])
            killer = next((name for name in calling if not passes(self._items[name])), "")
            if not killer and function in self._imported:
                killer = next((item.nodeid for item in self._imported_again(order) if not passes(item)), "")
        except BaseException:  # whatever it is, it was noticed
            os._exit(KILLED)
        os.write(write, killer.encode())
        os._exit(KILLED if killer else SURVIVED)


def passes(item: pytest.Item) -> bool:
    """Runs one test with its fixtures."""
    try:
        item.session._setupstate.setup(item)
        item.runtest()
    except BaseException:  # a change may raise anything
        return False
    finally:
        item.session._setupstate.teardown_exact(None)
    return True


def say(line: str) -> None:
    """To the person who waits."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Tries the changes that the command line names."""
    patterns = [each for each in sys.argv[1:] if not each.startswith("-")] or ["*"]
    todo = changes(patterns, again="--again" in sys.argv)
    say(f"{len(todo)} changes to try")
    selection = config().pytest_add_cli_args_test_selection
    os.chdir("mutants")
    quiet = ["--rootdir=.", "-q", "-s", "--tb=native", "-p", "no:cacheprovider"]
    return int(pytest.main([*quiet, *selection], plugins=[Loop(todo)])) if todo else 0


if __name__ == "__main__":
    sys.exit(main())
