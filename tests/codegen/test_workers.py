"""Helper processes: lent to one at a time, their answers checked, their failures mended here."""

import operator
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from kernelwright.compiler.targets.shared import helpers
from kernelwright.compiler.targets.shared.workers import build_all


def contained(jobs, helpers=2):
    """`{symbol: symbol in job}`. The builder is one of the standard library, which helpers can import."""
    found = {}
    build_all(jobs, helpers, lambda symbol, built: found.__setitem__(symbol, built), operator.contains)
    return found


def test_threads_get_their_own_answers():
    def work(thread):
        jobs = {f"{thread}-{i}": [f"{thread}-{i}"] if (thread + i) % 2 else [] for i in range(40)}
        return contained(jobs) == {symbol: bool(job) for symbol, job in jobs.items()}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert not helpers._lent and len(helpers._idle) <= 2


def test_a_helper_has_one_borrower():
    helpers.stop()
    first = helpers.lend(2, 3)
    second = helpers.lend(2, 3)
    assert len(first) == 2 and len(second) == 1 and not helpers.lend(2, 3)
    assert not {id(h) for h in first} & {id(h) for h in second}
    for helper in [*first, *second]:
        helpers.give_back(helper)
    assert len(helpers._idle) == 3
    helpers.stop()


def test_an_answer_to_another_question_ends_the_helper():
    helpers.stop()
    (helper,) = helpers.lend(1, 1)
    assert helper.ask(operator.contains, "a", ["a"]) == (True, True)
    helpers._write(helper._questions, (operator.contains, "stale", []))  # as a second asker would
    with pytest.raises(helpers.HelperLost, match="answered stale"):
        helper.ask(operator.contains, "b", ["b"])
    helpers.give_back(helper)
    assert helper not in helpers._idle


def test_a_helper_that_dies_costs_nothing_but_time():
    helpers.stop()
    (helper,) = helpers.lend(1, 1)
    helper._process.kill()
    helper._process.wait()
    helpers.give_back(helper)
    assert not helpers._idle
    (helper,) = helpers.lend(1, 1)
    with pytest.raises(helpers.HelperLost):
        helper.ask(os.kill, signal.SIGKILL, helper._process.pid)
    helpers.give_back(helper)
    jobs = {f"k{i}": [f"k{i}"] for i in range(8)}
    assert contained(jobs) == dict.fromkeys(jobs, True)


def test_errors_are_raised_once_all_threads_are_done():
    jobs = {f"k{i}": None if i == 5 else [] for i in range(12)}
    with pytest.raises(TypeError):
        contained(jobs)
    assert not helpers._lent

    def refuse(symbol, built):
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        build_all({f"k{i}": [] for i in range(8)}, 1, refuse, operator.contains)
    assert not helpers._lent
