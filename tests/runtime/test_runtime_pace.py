"""How many threads a long run goes on with, by the times that its pieces take: simulated machines, no clock."""

import pytest

from kernelwright.runtime.pace import PIECE, Pace


def simulate(pace, seconds_of, duration):
    """(seconds by number of threads, steps done) of a run of `duration`; seconds_of(threads, now): a step's time."""
    spent, steps_done, now = {1: 0.0, pace.most: 0.0}, 0, 0.0
    while now < duration:
        threads, steps = pace.piece(10**9)
        took = steps * seconds_of(threads, now)
        pace.took(threads, steps, took)
        spent[threads] += took
        steps_done += steps
        now += took
    return spent, steps_done


def test_threads_that_help_are_kept_and_trying_one_costs_little():
    spent, steps = simulate(Pace(2), lambda threads, now: 1e-3 / threads, 10.0)
    assert spent[1] < 0.02 * spent[2] and steps > 0.97 * 10.0 / 0.5e-3


@pytest.mark.parametrize("slowdown", [2.0, 15.0, 200.0])
def test_a_run_beside_a_busy_process_takes_little_longer_than_on_one_thread(slowdown):
    one = 1e-4
    _, steps = simulate(Pace(2), lambda threads, now: one if threads == 1 else one * slowdown, 5.0)
    assert 5.0 / steps < 1.2 * one


def test_the_threads_come_back_when_their_cores_do():
    def machine(threads, now):
        return 1e-4 if threads == 1 else (2e-3 if 2 < now < 6 else 0.5e-4)

    pace = Pace(2)
    simulate(pace, machine, 2.0)
    assert pace.threads == 2
    simulate(pace, lambda threads, now: machine(threads, now + 2), 4.0)
    assert pace.threads == 1
    simulate(pace, lambda threads, now: machine(threads, now + 6), 3.0)
    assert pace.threads == 2


def test_long_steps_try_one_thread_seldom_and_find_it_when_they_have_become_slower():
    _, steps = simulate(Pace(2), lambda threads, now: 1.0 / threads, 600.0)
    assert steps > 0.98 * 1200
    _, steps = simulate(Pace(2), lambda threads, now: 1.0 if threads == 1 else (0.5 if now < 100 else 6.0), 600.0)
    assert 500.0 / (steps - 200) < 1.5


def test_pieces_are_a_few_milliseconds_and_never_more_than_what_is_left():
    pace = Pace(4)
    assert pace.piece(7) == (4, 1)
    pace.took(4, 1, 1e-4)
    threads, steps = pace.piece(10**6)
    assert threads == 4 and steps == round(PIECE / 1e-4)
    assert pace.piece(3) == (4, 3)
    pace.took(4, 1, 10.0)
    assert pace.piece(3)[1] == 1
