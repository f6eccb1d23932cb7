"""The virtual clock: durations by hand, who is kept, who is lost, waiting, and no looking ahead."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexifed.devices.clock import Clock, Outcome, Stragglers
from flexifed.devices.fleet import Capacities, Fleet, Spells
from flexifed.system.errors import UserError

Pairs = Sequence[tuple[float, float]]


def fleet(*spells: Pairs, period: float = 100.0) -> Fleet:
    """Devices that take a millisecond a sample and send 8 kbit/s, available in these spells."""
    lists = [np.array(pairs, np.float64).reshape(-1, 2) for pairs in spells]
    ones = np.ones(len(spells))
    return Fleet(Capacities(ones, 8 * ones), Spells(period, [p[:, 0] for p in lists], [p[:, 1] for p in lists]))


def always(clients: int) -> Fleet:
    return fleet(*[[(0, 100)]] * clients)


def run(clock: Clock, durations: Sequence[float], keep: int, stragglers: Stragglers = "dropped") -> Outcome:
    """Of clients 0, 1, ..., as many as there are durations."""
    return clock.run(np.arange(len(durations)), np.array(durations, np.float64), keep, stragglers)


def plain(outcome: Outcome) -> tuple[list[int], float, list[int], list[float]]:
    return outcome.kept.tolist(), outcome.seconds, outcome.dropped.tolist(), outcome.finished.tolist()


INF = float("inf")


def test_durations_by_hand() -> None:
    devices = Fleet(Capacities(np.array([2.0, 50.0, 10.0]), np.array([1000.0, 8.0, 4000.0])), always(3).spells)

    seconds = Clock(devices).durations(
        np.array([2, 0]), np.array([100, 50]), np.array([1_000_000, 0]), np.array([500_000, 125])
    )

    # 3 x 100 x 10 ms + 12,000,000 bits / 4,000,000 a second; 3 x 50 x 2 ms + 1,000 bits / 1,000,000 a second
    assert seconds.tolist() == [3.0 + 3.0, 0.3 + 0.001]


def test_the_first_to_finish_are_kept_and_the_round_lasts_as_long_as_the_slowest_of_them() -> None:
    clock = Clock(always(4))

    assert plain(run(clock, [7, 3, 9, 5], keep=2)) == ([1, 3], 5.0, [0, 2], [INF, 3, INF, 5])
    assert clock.now == 5


def test_stragglers_can_be_waited_for() -> None:
    clock = Clock(always(4))

    assert plain(run(clock, [7, 3, 9, 5], 2, "waited_for")) == ([0, 1, 2, 3], 9.0, [], [7, 3, 9, 5])


def test_of_equals_the_first_invited_are_kept_and_the_others_have_finished_too() -> None:
    assert plain(run(Clock(always(3)), [4, 4, 4], keep=2)) == ([0, 1], 4.0, [2], [4, 4, 4])
    other_way_round = Clock(always(3)).run(np.array([2, 1, 0]), np.full(3, 4.0), 2, "dropped")
    assert other_way_round.kept.tolist() == [1, 2] and other_way_round.dropped.tolist() == [0]


@pytest.mark.parametrize("stragglers", ["dropped", "waited_for"])
def test_equal_devices_keep_everybody_who_is_wanted(stragglers: Stragglers) -> None:
    assert plain(run(Clock(always(5)), [4.0] * 5, 5, stragglers)) == ([0, 1, 2, 3, 4], 4.0, [], [4.0] * 5)


def test_a_client_that_leaves_before_it_has_finished_is_lost() -> None:
    clock = Clock(fleet([(0, 2)], [(0, 3)], [(0, 100)]))

    assert plain(run(clock, [3, 3, 4], keep=2)) == ([1, 2], 4.0, [0], [INF, 3, 4])


def test_a_round_with_too_few_goes_on_until_the_last_of_the_others_is_lost() -> None:
    clock = Clock(fleet([(0, 20)], [(0, 30)], [(0, 100)]))

    assert plain(run(clock, [40, 40, 10], keep=2)) == ([2], 30.0, [0, 1], [INF, INF, 10])


def test_a_round_in_which_nobody_finishes_ends_when_the_last_one_is_lost() -> None:
    clock = Clock(fleet([(0, 2)], [(0, 3)]))

    assert plain(run(clock, [50, 50], keep=1)) == ([], 3.0, [0, 1], [INF, INF])
    assert clock.now == 3 and clock.available().tolist() == []


def test_a_client_that_is_not_there_is_lost_at_once() -> None:
    assert plain(run(Clock(fleet([(50, 60)], [(0, 100)])), [1, 1], keep=2)) == ([1], 1.0, [0], [INF, 1])


def test_a_spell_goes_on_over_the_end_of_the_period() -> None:
    devices = fleet([(0, 5), (90, 100)], [(0, 4), (90, 100)])

    assert plain(run(Clock(devices, 95.0), [10, 10], keep=2)) == ([0], 10.0, [1], [10, INF])


def test_who_is_always_there_is_not_lost_however_long_it_takes() -> None:
    clock = Clock(always(1))

    assert plain(run(clock, [1e6], keep=1)) == ([0], 1e6, [], [1e6])
    assert clock.now == 1e6


def test_available_from_the_start_of_a_spell_to_before_its_end() -> None:
    devices = fleet([(10, 20)], [], [(15, 30), (40, 50)])

    found = {now: Clock(devices, now).available().tolist() for now in (0, 10, 15, 20, 30, 45, 115, 1020)}

    assert found == {0: [], 10: [0], 15: [0, 2], 20: [2], 30: [], 45: [2], 115: [0, 2], 1020: [2]}
    assert Clock(devices).available().dtype == np.int64


@pytest.mark.parametrize(
    ("now", "number", "then"), [(0, 1, 10), (12, 1, 12), (0, 2, 15), (20, 1, 20), (35, 2, 115), (50, 1, 110)]
)
def test_waits_for_the_first_moment_with_so_many(now: float, number: int, then: float) -> None:
    clock = Clock(fleet([(10, 20)], [(15, 30), (40, 50)]), now)

    clock.wait_for(number)

    assert clock.now == then and len(clock.available()) >= number


def test_waiting_for_more_than_there_ever_are_says_how_many_there_are() -> None:
    clock = Clock(fleet([(10, 20)], [(15, 30)], [(50, 60)]))

    with pytest.raises(UserError, match="3 clients are wanted, and no more than 2 of 3 are available at any time"):
        clock.wait_for(3)


def test_a_moment_that_no_float_meets_exactly_is_met() -> None:
    clock = Clock(fleet([(0.1, 0.2)], period=0.3), 1e6)

    clock.wait_for(1)

    assert clock.available().tolist() == [0]


def test_state_gives_the_same_clock() -> None:
    clock, other = (Clock(fleet([(10, 20)], [(15, 30), (40, 50)]), now) for now in (350.0, 0.0))
    clock.wait_for(2)
    run(clock, [1 / 3, 30], keep=1)

    other.restore(json.loads(json.dumps(clock.state())))

    assert other.state() == clock.state() and other.now == clock.now
    assert plain(run(other, [1, 14.5], 2)) == plain(run(clock, [1, 14.5], 2))


# Against a plain reading, and without looking ahead


def spells_of(draw: Any, period: int) -> Pairs:
    times = sorted(draw(st.sets(st.integers(0, period), max_size=6)))
    return list(zip(times[::2], times[1::2], strict=False))


@st.composite
def situations(draw: Any) -> tuple[list[Pairs], int, list[float], int, Stragglers]:
    clients = draw(st.integers(1, 5))
    spells = [spells_of(draw, 20) for _ in range(clients)]
    durations = draw(st.lists(st.integers(1, 50).map(float), min_size=clients, max_size=clients))
    rule = draw(st.sampled_from(["dropped", "waited_for"]))
    return spells, draw(st.integers(0, 60)), durations, draw(st.integers(1, clients)), rule


def there(pairs: Pairs, second: int) -> bool:
    return any(start <= second % 20 < end for start, end in pairs)


@settings(deadline=None, max_examples=300)
@given(situations())
def test_against_a_walk_from_second_to_second(situation: tuple[list[Pairs], int, list[float], int, Stragglers]) -> None:
    spells, now, durations, keep, rule = situation
    clock = Clock(fleet(*spells, period=20.0), now)
    assert clock.available().tolist() == [i for i, pairs in enumerate(spells) if there(pairs, now)]

    wanted = len(durations) if rule == "waited_for" else keep
    at_work, finished, seconds = dict(enumerate(durations)), [], 0
    while True:
        ready = sorted(i for i, duration in at_work.items() if duration == seconds)
        finished += ready
        at_work = {i: d for i, d in at_work.items() if i not in ready and there(spells[i], now + seconds)}
        if len(finished) >= wanted or not at_work:
            break
        seconds += 1

    outcome = run(clock, durations, keep, rule)

    assert outcome.kept.tolist() == sorted(finished[:wanted])
    assert (outcome.seconds, clock.now) == (seconds, now + seconds)
    assert np.flatnonzero(np.isfinite(outcome.finished)).tolist() == sorted(finished)


@settings(deadline=None, max_examples=200)
@given(situations(), st.data())
def test_what_comes_later_changes_nothing_before(
    situation: tuple[list[Pairs], int, list[float], int, Stragglers], data: st.DataObject
) -> None:
    """The trace is changed behind the end of a round: who was there, who was kept, and the end stay."""
    spells, now, durations, keep, rule = situation
    now %= 20

    def known(pairs: list[Pairs]) -> tuple[Any, ...]:
        clock = Clock(fleet(*pairs, period=100.0), now)
        return clock.available().tolist(), plain(run(clock, durations, keep, rule))

    first = known(spells)
    end = now + first[1][1]
    later = [
        [(a, min(b, end + 1 + data.draw(st.integers(0, 3)))) for a, b in pairs if a <= end]
        + ([(end + 10, end + 11)] if data.draw(st.booleans()) else [])
        for pairs in spells
    ]

    assert known(later) == first
