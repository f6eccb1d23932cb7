"""Selectors against their equations, worked by hand, and what every one of them promises."""

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexifed.selection.drawing import weighted
from flexifed.selection.oort import Oort
from flexifed.selection.oort_rules import FedScale, Paper
from flexifed.selection.power_of_choice import PowerOfChoice
from flexifed.selection.selector import Known, Report, Selector
from flexifed.selection.testing import clients_to_test
from flexifed.selection.uniform import Uniform
from flexifed.settings import rng
from flexifed.system.errors import UserError

SELECTORS: dict[str, Callable[[Known], Selector]] = {
    "uniform": Uniform,
    "oort": Oort,
    "oort, blacklist": lambda known: Oort(known, blacklist_after=1, blacklist_share=1.0),
    "oort, fedscale": lambda known: Oort(known, variant="fedscale", clip=0.9, cut_off=0.05, exploration_floor=0.3),
    "power_of_choice": lambda known: PowerOfChoice(known, candidates=6),
    "power_of_choice, remembered": lambda known: PowerOfChoice(known, candidates=6, variant="remembered"),
}


def known(clients: int, **changes: Any) -> Known:
    """Clients with 100, 101, ... samples, of which 50 are trained, and turns of 1, 2, ... seconds."""
    given = {
        "sizes": 100 + np.arange(clients),
        "samples": np.full(clients, 50),
        "durations": 1.0 + np.arange(clients),
        "seed": 3,
    }
    return Known(**(given | changes))


def by_number(clients: Sequence[int]) -> list[float]:
    """The loss of a client is its number."""
    return [float(client) for client in clients]


def reports(chosen: Sequence[int], kept: Callable[[int], bool] = lambda client: True) -> list[Report]:
    """A client's losses are all one more than its number; it takes as long as `known` says."""
    return [
        Report(i, 50, i + 1.0, (i + 1.0) ** 2, i + 1.0, True)
        if kept(i)
        else Report(i, 50, math.nan, math.nan, i + 1.0, False)
        for i in chosen
    ]


def choices(selector: Selector, rounds: Sequence[int], clients: int, number: int) -> list[list[int]]:
    """Rounds with other clients available in each; every fifth client is a straggler in every other round."""
    found = []
    for round_number in rounds:
        there = np.flatnonzero(rng.stream(7, "there", round_number).random(clients) < 0.8)
        found.append(selector.choose(round_number, there, number, by_number))
        selector.learn(round_number, reports(found[-1], lambda i, r=round_number: bool(i % 5 or r % 2)))
    return found


# What every selector promises


@pytest.mark.parametrize("name", SELECTORS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_distinct_candidates_as_many_as_there_are(name: str, data: st.DataObject) -> None:
    clients = data.draw(st.integers(1, 9))
    equal = data.draw(st.booleans())
    selector = SELECTORS[name](known(clients, durations=np.ones(clients)) if equal else known(clients))
    losses = data.draw(st.sampled_from([0.0, 1.0, 1e6]))
    for round_number in range(1, data.draw(st.integers(2, 50))):
        candidates = np.array(sorted(data.draw(st.sets(st.integers(0, clients - 1), min_size=1))))
        number = data.draw(st.integers(1, clients + 2))

        chosen = selector.choose(round_number, candidates, number, lambda c: [losses] * len(c))

        assert chosen == sorted(set(chosen)) and set(chosen) <= set(candidates.tolist())
        assert len(chosen) == min(number, len(candidates)) and all(type(client) is int for client in chosen)
        kept = data.draw(st.booleans())
        loss = losses if kept else math.nan
        selector.learn(round_number, [Report(i, 50, loss, loss**2, 2.0, kept) for i in chosen])


@pytest.mark.parametrize("name", SELECTORS)
def test_a_resumed_run_chooses_as_an_uninterrupted_one(name: str) -> None:
    whole, first, second = (SELECTORS[name](known(20)) for _ in range(3))
    expected = choices(whole, range(1, 91), 20, 4)

    found = choices(first, range(1, 46), 20, 4)
    second.restore(json.loads(json.dumps(first.state(), allow_nan=False)))
    found += choices(second, range(46, 91), 20, 4)

    assert found == expected and second.state() == whole.state()


@pytest.mark.parametrize("name", SELECTORS)
def test_the_seed_decides(name: str) -> None:
    one, same, other = (SELECTORS[name](known(20, seed=seed)) for seed in (3, 3, 4))
    expected = choices(one, range(1, 30), 20, 4)

    assert choices(same, range(1, 30), 20, 4) == expected != choices(other, range(1, 30), 20, 4)


def never(clients: Sequence[int]) -> list[float]:
    raise AssertionError("asked for losses")


@pytest.mark.parametrize("name", [name for name in SELECTORS if name != "power_of_choice"])
def test_nobody_is_asked_for_losses_without_need(name: str) -> None:
    assert len(SELECTORS[name](known(20)).choose(1, np.arange(20), 4, never)) == 4


def test_who_wants_squared_losses() -> None:
    assert [cls.SQUARED_LOSSES for cls in (Uniform, Oort, PowerOfChoice)] == [False, True, False]


# Uniform


def test_uniform_cohorts_stay_what_they_are() -> None:
    """A changed number here changes every result with cohorts."""
    uniform = Uniform(known(10, seed=5))

    assert [uniform.choose(r, np.arange(10), 3, never) for r in (1, 2, 3)] == KNOWN_COHORTS
    assert uniform.choose(4, np.arange(10), 10, never) == list(range(10))
    assert uniform.choose(1, np.arange(10, 20), 3, never) == [10 + i for i in KNOWN_COHORTS[0]]


KNOWN_COHORTS = [[0, 6, 7], [1, 3, 5], [1, 2, 3]]


# Weighted draws


def test_weights_are_the_odds_of_being_drawn_first() -> None:
    stream, ids = np.random.default_rng(0), np.array([4, 5, 6])

    first = Counter(weighted(stream, ids, np.array([1.0, 2.0, 5.0]), 2)[0] for _ in range(8000))

    assert [first[i] / 8000 for i in (4, 5, 6)] == pytest.approx([1 / 8, 2 / 8, 5 / 8], abs=0.02)


def test_who_has_no_weight_comes_last_in_random_order() -> None:
    stream, ids = np.random.default_rng(0), np.arange(4)

    orders = Counter(tuple(weighted(stream, ids, np.array([0.0, 0.0, 0.0, 1e-300]), 4)) for _ in range(600))

    assert all(order[0] == 3 for order in orders) and len(orders) == 6 and min(orders.values()) > 60
    assert weighted(stream, ids, np.zeros(4), 0) == []


# Power-of-choice


def test_the_highest_losses_among_the_candidates_are_taken() -> None:
    asked: list[Sequence[int]] = []

    def losses(clients: Sequence[int]) -> list[float]:
        asked.append(clients)
        return by_number(clients)

    chosen = PowerOfChoice(known(20), candidates=6).choose(1, np.arange(20), 2, losses)

    assert len(asked) == 1 and len(set(asked[0])) == 6
    assert chosen == sorted(asked[0])[-2:]


def test_candidates_are_drawn_by_their_data() -> None:
    sizes = np.array([1, 1, 1, 1, 96])
    chosen = Counter(
        client
        for r in range(1, 400)
        for client in PowerOfChoice(known(5, sizes=sizes), candidates=1).choose(r, np.arange(5), 1, by_number)
    )

    assert chosen[4] / 399 == pytest.approx(0.96, abs=0.04)


def test_remembered_losses_are_those_of_the_last_turn_and_unseen_clients_come_first() -> None:
    selector = PowerOfChoice(known(6), candidates=6, variant="remembered")
    selector.learn(1, reports([0, 1, 4, 5], kept=lambda client: client != 4))

    assert selector.choose(2, np.arange(6), 3, never) == [2, 3, 4]  # 4 was a straggler
    selector.learn(2, reports([2, 3, 4]))
    assert selector.choose(3, np.arange(6), 3, never) == [3, 4, 5]


def test_equal_losses_are_taken_in_the_order_of_the_draw() -> None:
    found = {
        tuple(PowerOfChoice(known(6), candidates=6).choose(r, np.arange(6), 1, lambda c: [1.0] * len(c)))
        for r in range(1, 60)
    }

    assert len(found) == 6


# Oort: the equations


def explored(**options: Any) -> Oort:
    """Four clients of equal size with utilities 10, 20, 30, 40 after rounds 1, 2, 4, 4, and turns of 1, 2, 3, 4 s; a
    fifth is unexplored and takes 5 s.
    """
    oort = Oort(known(5, sizes=np.full(5, 10)), **options)
    for round_number, clients in ((1, [0]), (2, [1]), (4, [2, 3])):
        oort.learn(round_number, [Report(i, 50, 0.0, (i + 1.0) ** 2, i + 1.0, True) for i in clients])
    return oort


EVERYBODY = {"pacer_start": 100.0}  # no preferred duration
FOUR, FIFTH = np.arange(4), np.array([4])


def test_statistical_utility_is_the_size_times_the_root_of_the_mean_squared_loss() -> None:
    for variant, samples in (("paper", 120), ("fedscale", 50)):
        oort = Oort(known(1, sizes=np.array([120])), variant=variant)  # type: ignore[arg-type]
        oort.learn(1, [Report(0, 50, 1.0, 2.25, 1.0, True)])
        assert oort.utility.tolist() == [samples * 1.5]


def test_utilities_are_scaled_and_clients_not_seen_for_long_are_raised() -> None:
    found = explored(clip=1.0, **EVERYBODY).utilities(10, FOUR, FIFTH)

    scaled = [(u - 9.99) / (40 - 9.99) for u in (10, 20, 30, 40)]
    assert found == pytest.approx(
        [s + math.sqrt(0.1 * math.log(10) / n) for s, n in zip(scaled, (1, 2, 4, 4), strict=True)]
    )


def test_clipping_caps_utilities_at_the_quantile() -> None:
    found = explored(clip=0.6, uncertainty=0.0, **EVERYBODY).utilities(10, FOUR, FIFTH)

    # The 0.6-quantile of four is the third: 30 counts as the most, and 40 as 30.
    assert found == pytest.approx([(u - 9.99) / (30 - 9.99) for u in (10, 20, 30, 30)])


def test_fedscale_scales_over_unexplored_candidates_too_and_up_to_the_unclipped_most() -> None:
    oort = explored(variant="fedscale", clip=0.6, uncertainty=0.0, **EVERYBODY)

    # The fifth's prior is min(10 samples, 50) = 10; the 0.6-quantile of 10, 10, 20, 30, 40 is the fourth.
    assert oort.utilities(10, FOUR, FIFTH) == pytest.approx([(u - 9.99) / (40 - 9.99) for u in (10, 20, 30, 30)])
    without = oort.utilities(10, FOUR, np.arange(0))
    assert without == pytest.approx([(u - 9.99) / (40 - 9.99) for u in (10, 20, 30, 30)])


@pytest.mark.parametrize(
    ("start", "preferred"), [(0.1, 1.0), (30, 2.0), (59, 3.0), (60, 4.0), (99, 5.0), (100, math.inf)]
)
def test_the_preferred_duration_is_a_percentile_of_all_clients(start: float, preferred: float) -> None:
    assert explored(pacer_start=start).preferred_duration() == preferred


def test_slow_clients_are_lowered_by_their_delay_to_the_power_alpha() -> None:
    free = explored(**EVERYBODY).utilities(10, FOUR, FIFTH)

    slowed = explored(pacer_start=30.0, penalty=3.0).utilities(10, FOUR, FIFTH)

    assert slowed / free == pytest.approx([1, 1, (2 / 3) ** 3, (2 / 4) ** 3])
    assert explored(pacer_start=30.0, penalty=0.0).utilities(10, FOUR, FIFTH) == pytest.approx(free)


def test_equal_utilities_and_zero_utilities_are_chances() -> None:
    oort = Oort(known(3), **EVERYBODY, uncertainty=0.0)
    oort.learn(1, [Report(i, 50, 0.0, 0.0, 1.0, True) for i in range(3)])
    assert oort.utilities(2, np.arange(3), np.arange(0)).tolist() == [0, 0, 0]
    assert len(oort.choose(2, np.arange(3), 2, never)) == 2

    oort.learn(2, [Report(i, 50, 1.0, 1.0 / (100 + i) ** 2, 1.0, True) for i in range(3)])
    assert oort.utilities(3, np.arange(3), np.arange(0)) == pytest.approx([1, 1, 1])


# Oort: how many of whom


@pytest.mark.parametrize(
    ("round_number", "number", "explored", "unexplored", "exploited"),
    [
        (1, 10, 0, 50, 0),  # nobody is explored yet
        (1, 10, 50, 50, 1),  # epsilon 0.9: (1 - 0.9) x 10
        (2, 1000, 5000, 5000, 118),  # 0.9 x 0.98 = 0.882
        (36, 10, 50, 50, 5),  # 0.9 x 0.98^35 = 0.4438
        (500, 10, 50, 50, 8),  # the floor of 0.2
        (500, 10, 5, 50, 5),  # fewer explored than wanted
        (500, 10, 50, 1, 9),  # fewer unexplored than wanted
        (500, 10, 50, 0, 10),  # all explored
        (1, 10, 3, 2, 3),  # fewer clients than wanted
    ],
)
def test_shares_of_exploitation(round_number: int, number: int, explored: int, unexplored: int, exploited: int) -> None:
    assert Oort(known(3))._exploited(round_number, number, explored, unexplored) == exploited


def test_fedscale_rounds_the_other_way() -> None:
    assert (Paper().exploited(10, 0.4438), FedScale().exploited(10, 0.4438)) == (5, 6)
    assert (Paper().exploited(10, 0.9), FedScale().exploited(10, 0.9)) == (1, 1)


def test_the_pool_is_cut_off_below_a_share_of_the_last_one_taken() -> None:
    descending = np.array([10.0, 8.0, 7.7, 7.5, 1.0])

    assert [Paper().pool(descending, n, 0.95) for n in (1, 2, 5)] == [1, 3, 5]
    # FedScale: the first one not taken (7.7 x 0.95 = 7.3), and more than ten times as many as are wanted
    assert FedScale().pool(descending, 2, 0.95) == 5
    assert FedScale().pool(np.repeat([9.0, 8.0, 1.0], [2, 3, 60]), 2, 0.95) == 21
    assert FedScale().pool(np.repeat([9.0, 1.0], [40, 60]), 2, 0.95) == 40


def test_exploitation_takes_the_pool_only() -> None:
    oort = Oort(known(40, durations=np.ones(40)), exploration=0.0, exploration_floor=0.0)
    oort.learn(1, [Report(i, 50, 0.0, 100.0 if i < 6 else 1.0, 1.0, True) for i in range(40)])

    found = [oort.choose(r, np.arange(40), 3, never) for r in range(2, 60)]

    assert set().union(*found) == set(range(6))


def test_the_pool_is_drawn_by_utility() -> None:
    first: Counter[int] = Counter()
    for seed in range(800):
        oort = Oort(known(2, sizes=np.ones(2, np.int64), seed=seed), cut_off=0.0, uncertainty=0.0, **EVERYBODY)
        oort.rules = Unscaled()
        oort.learn(1, [Report(i, 50, 0.0, (1.0 + 8 * i) ** 2, 1.0, True) for i in range(2)])
        first[oort.choose(2, np.arange(2), 1, never)[0]] += 1

    assert first[1] / 800 == pytest.approx(0.9, abs=0.04)


class Unscaled(Paper):
    """Utilities as they are."""

    def scale(self, utilities: np.ndarray, prior: np.ndarray, clip: float) -> np.ndarray:
        return utilities


def test_unexplored_clients_are_drawn_by_speed() -> None:
    durations = np.array([1.0, 9.0])
    first = Counter(
        Oort(known(2, durations=durations, seed=s)).choose(1, np.arange(2), 1, never)[0] for s in range(800)
    )

    assert first[0] / 800 == pytest.approx(0.9, abs=0.04)


def test_fedscale_draws_unexplored_clients_by_prior_among_the_highest_and_the_first_round_evenly() -> None:
    prior, durations = np.array([1.0, 5, 4, 3, 3, 2, 9]), np.ones(7)

    assert FedScale().unexplored(prior, durations, 1, 2).tolist() == [0, 5, 4, 3, 3, 0, 9]
    assert FedScale().unexplored(prior, durations, 2, 2).tolist() == prior.tolist()
    assert FedScale().unexplored(prior, durations, 1, 1).tolist() == [1] * 7


def test_fedscale_lowers_priors_of_slow_clients() -> None:
    durations = np.array([1.0, 1.0, 10.0])
    options = {"variant": "fedscale", "pacer_start": 30.0, "penalty": 2.0}
    found = Counter(
        Oort(known(3, durations=durations, seed=s), **options).choose(2, np.arange(3), 1, never)[0]  # type: ignore[arg-type]
        for s in range(600)
    )

    assert found[2] / 600 == pytest.approx(0.01 / 2.01, abs=0.01)


# Oort: the pacer


def pacing(variant: str, gains: Sequence[float], **options: Any) -> list[float]:
    """The percentile after each round, where one client of one sample is exploited with these utilities."""
    oort = Oort(known(1, sizes=np.array([1])), variant=variant, pacer_window=2, **options)  # type: ignore[arg-type]
    found = []
    for round_number, gain in enumerate(gains, 1):
        oort.choose(round_number, np.arange(1), 1, never)
        oort.learn(round_number, [Report(0, 1, gain, gain**2, 1.0, True)])
        found.append(oort.percentile)
    return found


def test_pacer_of_the_paper_relaxes_when_the_utility_falls() -> None:
    #        windows: 3 + 3, then 3 + 2 falls, 4 + 1 is equal, 9 + 9 rises, 1 + 1 falls
    gains = [3, 3, 3, 2, 4, 1, 9, 9, 1, 1]

    assert pacing("paper", gains) == [30, 30, 30, 35, 35, 35, 35, 35, 35, 40]


def test_pacer_of_fedscale_relaxes_when_the_utility_is_flat_and_tightens_when_it_leaps() -> None:
    # The first round explores and counts 0. Windows: 10, then 20 (neither), 21 (flat), 126 (six times), 131 (flat)
    gains = [7, 10, 10, 10, 20, 1, 60, 66, 66, 65]

    assert pacing("fedscale", gains) == [30, 30, 30, 30, 30, 35, 35, 30, 30, 35]


@pytest.mark.parametrize(("lately", "steps"), [(9, 1), (11, 1), (8.9, 0), (11.1, 0), (59, 0), (60, -1), (0, 0)])
def test_fedscale_paces_by_a_tenth_and_by_five_times(lately: float, steps: int) -> None:
    assert FedScale().pace(10, lately) == steps


def test_the_pacer_stays_between_a_step_and_no_limit() -> None:
    assert pacing("paper", [9, 9, 1, 1, 0, 0], pacer_start=97.0)[-1] == 100
    assert pacing("fedscale", [1, 1, 99, 99], pacer_start=7.0)[-1] == 5
    assert pacing("fedscale", [1, 1, 99, 99], pacer_start=3.0)[-1] == 3


def test_what_the_pacer_counts() -> None:
    utilities = {1: 5.0, 2: 7.0, 3: 9.0}

    assert Paper().gain(utilities, [1, 2]) == 21
    assert FedScale().gain(utilities, [1, 2, 8]) == 6
    assert Paper().gain({}, []) == FedScale().gain({}, [1]) == 0


# Oort: stragglers and the blacklist


def test_stragglers_teach_their_duration_and_in_fedscale_count_with_the_mean() -> None:
    some = [Report(0, 50, 1.0, 1.0, 2.0, True), Report(1, 50, 1.0, 9.0, 2.0, True)]
    late = Report(2, 50, math.nan, math.nan, 77.0, False)

    paper, fedscale = Oort(known(3)), Oort(known(3), variant="fedscale")
    for oort in (paper, fedscale):
        oort.learn(4, [*some, late])

    assert paper.durations.tolist() == fedscale.durations.tolist() == [2, 2, 77]
    assert (paper.utility[2], paper.last[2]) == (0, 0)
    assert (fedscale.utility[2], fedscale.last[2]) == (50 * (1 + 3) / 2, 4)
    assert paper.picks.tolist() == fedscale.picks.tolist() == [1, 1, 1]


@pytest.mark.parametrize("variant", ["paper", "fedscale"])
def test_a_round_of_stragglers_alone(variant: str) -> None:
    oort = Oort(known(4), variant=variant)  # type: ignore[arg-type]
    oort.learn(1, reports(range(4), kept=lambda client: False))

    assert len(oort.choose(2, np.arange(4), 2, never)) == 2


def picked(times: Sequence[int], **options: Any) -> Oort:
    oort = Oort(known(len(times)), **options)
    for round_number in range(1, max(times) + 1):
        oort.learn(round_number, reports([i for i, n in enumerate(times) if n >= round_number]))
    return oort


def test_clients_picked_too_often_are_left_out_the_most_picked_first() -> None:
    times = [1, 5, 3, 4, 4, 2, 1, 1, 1, 1]

    assert picked(times, blacklist_after=2, blacklist_share=1.0).blacklist().tolist() == [1, 3, 4, 2]
    assert picked(times, blacklist_after=2).blacklist().tolist() == [1, 3, 4]  # at most 30 % of ten
    assert picked(times).blacklist().tolist() == []  # no such list

    oort = picked(times, blacklist_after=2, blacklist_share=1.0)
    assert oort.choose(9, np.arange(10), 6, never) == [0, 5, 6, 7, 8, 9]


def test_where_the_others_do_not_suffice_the_least_picked_of_the_list_fill_up() -> None:
    oort = picked([4, 6, 3, 1, 5], blacklist_after=2, blacklist_share=1.0)

    assert oort.choose(9, np.arange(5), 3, never) == [0, 2, 3]


def test_all_blacklisted() -> None:
    oort = picked([4, 6, 3, 7, 5], blacklist_after=2, blacklist_share=1.0)

    assert oort.choose(9, np.arange(5), 2, never) == [0, 2]
    assert oort.choose(9, np.array([1, 3]), 2, never) == [1, 3]


# The testing selector


def bound(clients: int, deviation: float, spread: float, n: int) -> float:
    return math.exp(-2 * n * deviation**2 / ((1 - (n - 1) / clients) * spread**2))


@pytest.mark.parametrize(
    ("clients", "deviation", "spread"), [(1000, 0.1, 1), (50, 0.2, 1), (100_000, 3, 60), (20, 0.01, 1)]
)
def test_as_many_testers_as_the_bound_needs_and_no_more(clients: int, deviation: float, spread: float) -> None:
    n = clients_to_test(clients, deviation, spread, 0.9)

    assert bound(clients, deviation, spread, n) <= 0.1 or n == clients
    assert bound(clients, deviation, spread, n - 1) > 0.1


def test_testers_keep_their_promise() -> None:
    values = (np.arange(200) < 60).astype(float)
    n, stream = clients_to_test(200, 0.1, 1.0, 0.9), np.random.default_rng(0)

    misses = [stream.choice(values, n, replace=False).mean() - 0.3 >= 0.1 for _ in range(2000)]

    assert n < 100 and np.mean(misses) <= 0.1


@pytest.mark.parametrize("deviation", [1.0, 1e200])
def test_one_tester_where_no_mean_can_be_so_far_off(deviation: float) -> None:
    assert clients_to_test(290, deviation, 1.0) == 1


@pytest.mark.parametrize(
    "numbers", [(0, 1, 1, 0.9), (9, 0, 1, 0.9), (9, 1, -1, 0.9), (9, 1, 1, 1.0), (9, 1, 1, math.nan)]
)
def test_testers_of_nothing_are_refused(numbers: tuple[int, float, float, float]) -> None:
    with pytest.raises(UserError, match="must be above 0, and confidence"):
        clients_to_test(*numbers)
