"""Whoever watches is told of each kernel that is compiled, and of none that the cache holds."""

import kernelwright as kw
from kernelwright.compiler.targets.shared.watch import watching


def program(shift):
    x = kw.input("x", (61, 61))  # of a size that no other test has: a process keeps what it built
    return kw.compile([x], [kw.tanh(x @ x + shift), (x * shift).sum(0)])


def test_kernels_are_counted_while_they_are_compiled(tmp_path, monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_CACHE", str(tmp_path))
    told = []
    with watching(lambda done, kernels: told.append((done, kernels))):
        made = program(0.123)
        distinct = len({kernel.key for kernel in made.kernels})
        assert told[0][0] == 0 and told[-1] == (told[-1][1], told[-1][1])
        assert [done for done, _ in told] == list(range(len(told))) and 1 <= told[-1][1] <= distinct
        told.clear()
        program(0.123)
        assert told == []
    program(0.124)
    assert told == []
