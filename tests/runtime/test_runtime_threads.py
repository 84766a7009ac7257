"""The pool: no hang and right results with idle workers, callers in parallel, several pools, a fork, and at exit."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from handmade import chain, chain_expected

from kernelwright.runtime import Executable, Pool, seconds_per_tick, shared_pool

X = np.arange(100.0)


def check(executable: Executable, times: int = 1) -> None:
    for _ in range(times):
        np.testing.assert_allclose(executable.run([X])[0], chain_expected(X, 5))


def test_workers_that_fell_asleep_wake_up() -> None:
    executable = Executable(chain(5), threads=4)
    for pause in (0, 0.001, 0.003, 0.05, 0.002, 0.02):
        time.sleep(pause)
        check(executable, 3)


def test_workers_sleep_when_idle() -> None:
    check(Executable(chain(5), threads=2))
    time.sleep(0.2)
    before = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before < 0.1


def test_callers_in_parallel_take_turns() -> None:
    shared = Executable(chain(5), threads=2)
    failures: list[BaseException] = []

    def work(executable: Executable) -> None:
        try:
            check(executable, 200)
        except BaseException as error:
            failures.append(error)

    mine = [Executable(chain(5), threads=threads) for threads in (1, 2, 3)]
    callers = [threading.Thread(target=work, args=(each,)) for each in [shared, shared, *mine]]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert not failures and not any(caller.is_alive() for caller in callers)


def test_shared_pools_and_closing() -> None:
    assert shared_pool(3) is shared_pool(3)
    executable = Executable(chain(5), threads=3)
    check(executable)
    for _ in range(5):
        shared_pool(3).close()
        check(executable)
    with pytest.raises(ValueError, match="at least one"):
        Pool(0)


def _child(executable: Executable) -> None:
    check(executable, 20)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_after_a_fork() -> None:
    executable = Executable(chain(5), threads=2)
    check(executable)
    children = [multiprocessing.get_context("fork").Process(target=_child, args=(executable,)) for _ in range(2)]
    for child in children:
        child.start()
    check(executable, 20)
    for child in children:
        child.join(60)
        assert child.exitcode == 0


def test_leaving_the_interpreter_while_workers_spin_or_sleep() -> None:
    code = (
        "import sys, time, numpy as np\n"
        "from handmade import chain\n"
        "from kernelwright.runtime import Executable\n"
        "Executable(chain(5), threads=4).run([np.ones(10)])\n"
        "time.sleep(float(sys.argv[1]))\n"
    )
    here = Path(__file__).parent
    for pause in ("0", "0.1"):
        done = subprocess.run([sys.executable, "-c", code, pause], cwd=here, capture_output=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, b"")


def test_ticks_have_a_plausible_length() -> None:
    assert 1e-11 < seconds_per_tick() < 1e-6
