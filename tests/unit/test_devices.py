"""Devices: what every plugin promises, the stored fleet, and files of others that are damaged."""

import csv
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexifed.devices import fleet
from flexifed.devices.availability._spells import tidy
from flexifed.devices.availability.day_and_night import spells as day_and_night
from flexifed.devices.availability.trace import spells as from_trace
from flexifed.devices.capacity.fedscale import capacities as from_table
from flexifed.devices.capacity.lognormal import capacities as lognormal
from flexifed.devices.fleet import Capacities, Fleet, Spells
from flexifed.settings import registry
from flexifed.system.errors import UserError

TRACE = {
    "0": {"active": [10, 50], "inactive": [20, 70], "finish_time": 100, "duration": 30, "model": "A"},
    "7": {"active": [], "inactive": [], "finish_time": 100},
    "x": {"active": [10, 45], "inactive": [40, 58], "finish_time": 50},
}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def table(path: Path, rows: list[list[Any]], header: tuple[str, ...] = ("computation_ms", "communication_kbps")) -> str:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("client_id", *header), *([i + 1, *row] for i, row in enumerate(rows))])
    return str(path)


@pytest.fixture
def options(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Options with which each plugin works here; none where its defaults do."""
    (tmp_path / "trace.json").write_text(json.dumps(TRACE))
    rows = [[10 + i, 1000.5 * (i + 1)] for i in range(40)]
    return {"fedscale": {"file": table(tmp_path / "table.csv", rows)}, "trace": {"file": str(tmp_path / "trace.json")}}


@pytest.fixture
def drawn(tmp_path: Path, options: dict[str, dict[str, Any]]) -> Callable[..., Path]:
    def draw(capacity: str, availability: str, seed: int = 1, clients: int = 12, out: str = "devices.parquet") -> Path:
        of = [options.get(name, {}) for name in (capacity, availability)]
        fleet.write(tmp_path / out, fleet.draw(capacity, of[0], availability, of[1], clients=clients, seed=seed))
        return tmp_path / out

    return draw


# What plugins promise


@pytest.mark.parametrize("availability", registry.names("availability"))
@pytest.mark.parametrize("capacity", registry.names("capacity"))
def test_a_stored_fleet_is_the_one_that_was_drawn(capacity: str, availability: str, drawn: Callable[..., Path]) -> None:
    found = fleet.read(drawn(capacity, availability), 12)
    again = drawn(capacity, availability, out="again.parquet")

    assert again.read_bytes() == again.with_name("devices.parquet").read_bytes()
    assert len(found) == 12 and any(map(len, found.spells.starts))
    assert found.capacities.milliseconds_per_sample.dtype == found.spells.ends[0].dtype == np.float64


@pytest.mark.parametrize(
    ("capacity", "availability"),
    [("lognormal", "always"), ("fedscale", "always"), ("equal", "day_and_night"), ("equal", "trace")],
)
def test_another_seed_gives_other_devices(capacity: str, availability: str, drawn: Callable[..., Path]) -> None:
    files = [drawn(capacity, availability, seed, out=f"{seed}.parquet") for seed in (1, 2)]

    assert files[0].read_bytes() != files[1].read_bytes()


def test_capacities_do_not_depend_on_availability(drawn: Callable[..., Path]) -> None:
    one, other = (fleet.read(drawn("lognormal", name), 12).capacities for name in ("always", "day_and_night"))

    assert np.array_equal(one.milliseconds_per_sample, other.milliseconds_per_sample)


def test_lognormal_has_the_medians_and_sigmas_of_its_options() -> None:
    found = lognormal(20000, rng())

    for values, median, sigma in (
        (found.milliseconds_per_sample, 53.7, 0.876),
        (found.kilobits_per_second, 6951, 1.116),
    ):
        assert np.median(values) == pytest.approx(median, rel=0.03)
        assert np.log(values).std() == pytest.approx(sigma, rel=0.03)
    assert (lognormal(5, rng(), milliseconds_sigma=0).milliseconds_per_sample == 53.7).all()


def test_fedscale_draws_rows_without_replacement(tmp_path: Path) -> None:
    file = table(tmp_path / "t.csv", [[i, 100 * i] for i in range(1, 21)])

    found = from_table(20, rng(), file=file)

    assert sorted(found.milliseconds_per_sample) == list(range(1, 21))
    assert found.milliseconds_per_sample.tolist() != list(range(1, 21))
    assert (found.kilobits_per_second == 100 * found.milliseconds_per_sample).all()


def test_a_trace_is_dealt_until_it_is_used_up_and_short_devices_repeat(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(TRACE))

    found = from_trace(6, rng(), file=str(tmp_path / "t.json"))

    pairs = [
        list(zip(*map(np.ndarray.tolist, both), strict=True)) for both in zip(found.starts, found.ends, strict=True)
    ]
    expected = [[], [(10, 20), (50, 70)], [(10, 40), (45, 50), (60, 90), (95, 100)]]
    assert found.period == 100
    assert sorted(pairs[:3]) == sorted(pairs[3:]) == expected


def hours(spells: Spells) -> np.ndarray:
    """Of each hour of a day, the share of clients that are available at it, over all days."""
    times = 3600 * np.arange(7 * 24)
    there = sum(
        ((starts[:, None] <= times) & (times < ends[:, None])).any(0)
        for starts, ends in zip(spells.starts, spells.ends, strict=True)
    )
    return np.asarray(there).reshape(7, 24).mean(0) / len(spells.starts)


@pytest.mark.parametrize("share", [0.05, 0.4, 0.8])
def test_devices_are_available_for_the_share_of_time_that_was_asked_for(share: float) -> None:
    found = day_and_night(2000, rng(), share=share)

    lengths = [float((ends - starts).sum()) for starts, ends in zip(found.starts, found.ends, strict=True)]
    assert np.mean(lengths) / found.period == pytest.approx(share, rel=0.02)
    assert len(set(lengths)) > 1500


def test_nights_are_where_the_zones_are() -> None:
    one_place, earth = hours(day_and_night(400, rng(), zones=0)), hours(day_and_night(400, rng()))

    assert one_place[0] > 0.95 and one_place[12] < 0.25
    assert np.ptp(earth) < 0.15


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(-30, 60), st.integers(0, 24)), max_size=6))
def test_tidy_spells_hold_the_same_moments(given_spells: list[tuple[int, int]]) -> None:
    starts = np.array([a for a, _ in given_spells], np.float64)
    lengths = np.array([n for _, n in given_spells], np.float64)

    begin, end = tidy(starts, starts + lengths, 24.0)

    held = {(a + i) % 24 for a, n in given_spells for i in range(n)}
    assert {t for t in range(24) if ((begin <= t) & (t < end)).any()} == held
    assert (np.diff(np.stack([begin, end], axis=1).ravel()) > 0).all()
    assert begin.min(initial=0) >= 0 and end.max(initial=0) <= 24


# Faults


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[5, 10], [-5, 10]], r"t.csv, line 3: computation_ms is '-5', expected a number above 0"),
        ([[5, 0]], r"line 2: communication_kbps is '0'"),
        ([[5, 10], [5, "fast"]], r"line 3: communication_kbps is 'fast'"),
        ([[5, "nan"]], r"line 2: communication_kbps is 'nan'"),
        ([["inf", 5]], r"line 2: computation_ms is 'inf'"),
        ([[5, 10], [5]], r"line 3: communication_kbps is 'missing'"),
        ([[5, 10]] * 11, r"t.csv has 11 devices, 12 clients need as many"),
        ([], r"t.csv has 0 devices"),
    ],
)
def test_bad_rows_of_a_table_are_refused(rows: list[list[Any]], expected: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=expected):
        from_table(12, rng(), file=table(tmp_path / "t.csv", rows))


def test_a_table_without_its_column_is_refused(tmp_path: Path) -> None:
    file = table(tmp_path / "t.csv", [[1, 2]], ("computation_ms", "kbps"))

    with pytest.raises(UserError, match="there is no column communication_kbps; expected client_id, computation_ms"):
        from_table(1, rng(), file=file)


class Runs:
    """Unpickling it leaves a trace."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("it-ran"),)


@pytest.mark.parametrize("protocol", [0, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize("read", [from_table, from_trace])
def test_a_pickle_is_refused_without_running_it(
    read: Callable[..., Any], protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("devices").write_bytes(pickle.dumps({1: Runs()}, protocol))

    with pytest.raises(UserError, match=r"devices is a pickle\. Reading one runs whatever code it holds"):
        read(1, rng(), file="devices")
    assert not Path("it-ran").exists()


@pytest.mark.parametrize(
    ("read", "content", "named"),
    [
        (from_table, {i: {"computation": 10.0 + i, "communication": 5.5} for i in range(3)}, "devices.csv"),
        (from_trace, dict.fromkeys(range(3), TRACE["0"]), "devices.json"),
    ],
)
def test_a_pickle_converted_as_the_error_says_can_be_read(
    read: Callable[..., Any], content: dict[int, Any], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("devices").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError) as error:
        read(3, rng(), file="devices")

    exec(re.split("name the new file: ", str(error.value))[1], {})

    read(3, rng(), file=named)


@pytest.mark.parametrize("read", [from_table, from_trace])
def test_a_missing_file_is_named(read: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"no/such/file: No such file or directory. docs/devices.md says"):
        read(1, rng(), file="no/such/file")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ([1, 2], "device 3: expected an object, got list"),
        ({"active": [1], "inactive": [2, 3], "finish_time": 9}, "device 3: 1 times in `active` and 2 in `inactive`"),
        ({"active": [5], "inactive": [2], "finish_time": 9}, "device 3: the times .* do not ascend"),
        ({"active": [-1], "inactive": [2], "finish_time": 9}, "device 3: the times .* do not ascend from 0"),
        ({"active": ["now"], "inactive": [2], "finish_time": 9}, r"device 3: active must be in seconds, got \['now'\]"),
        ({"active": [1], "inactive": [2]}, "device 3: finish_time must be in seconds"),
        ({"active": [1], "inactive": [2], "finish_time": 0}, "device 3: finish_time is 0, expected seconds above 0"),
    ],
)
def test_bad_entries_of_a_trace_are_refused(entry: Any, expected: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps({**TRACE, "3": entry}))

    with pytest.raises(UserError, match=f"t.json, {expected}"):
        from_trace(1, rng(), file=str(tmp_path / "t.json"))


@pytest.mark.parametrize(
    ("trace", "expected"), [({"7": TRACE["7"]}, "'trace' give no devices: nobody is ever available"), ({}, "no device")]
)
def test_a_trace_that_leaves_nobody_is_refused(trace: dict[str, Any], expected: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(trace))
    options = {"file": str(tmp_path / "t.json")}

    with pytest.raises(UserError, match=expected):
        fleet.draw("equal", {}, "trace", options, clients=3, seed=0)


def test_options_are_checked_before_anything_is_drawn() -> None:
    with pytest.raises(UserError, match=r"milliseconds of capacity 'equal' must be 0.001 or more, got -1"):
        fleet.draw("equal", {"milliseconds": -1}, "always", {}, clients=1, seed=0)
    with pytest.raises(UserError, match="option 'file' of availability 'trace' must be text"):
        fleet.draw("equal", {}, "trace", {"file": 3}, clients=1, seed=0)


def made(ms: list[float], starts: list[list[float]], ends: list[list[float]], period: float = 10.0) -> Fleet:
    spells = Spells(period, [np.array(s, np.float64) for s in starts], [np.array(e, np.float64) for e in ends])
    return Fleet(Capacities(np.array(ms), np.ones(len(ms))), spells)


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        (made([1, -2], [[0], [0]], [[1], [1]]), "milliseconds_per_sample of client 1 is -2, expected a number above 0"),
        (made([1, 1], [[0], []], [[1], []], 0.0), "the period is 0 seconds"),
        (made([1, 1], [[0], [2, 4]], [[1], [4, 5]]), "the spells of client 1 do not ascend from 0 to the period of 10"),
        (made([1, 1], [[0], [2]], [[1], [11]]), "the spells of client 1"),
        (made([1, 1], [[0], [-1]], [[1], [5]]), "the spells of client 1"),
        (made([1, 1], [[0], [2]], [[1], []]), "the spells of client 1"),
        (made([1, 1], [[], []], [[], []]), "nobody is ever available"),
    ],
)
def test_a_file_with_what_no_device_can_be_is_refused(devices: Fleet, expected: str, tmp_path: Path) -> None:
    fleet.write(tmp_path / "d.parquet", devices)

    with pytest.raises(UserError, match=rf"d.parquet holds no devices: {expected}.*Draw the devices again"):
        fleet.read(tmp_path / "d.parquet", 2)


def test_a_file_with_a_missing_client_names_it(drawn: Callable[..., Path]) -> None:
    path = drawn("equal", "always", clients=5)
    whole = pq.read_table(path)
    pq.write_table(whole.filter(pa.compute.not_equal(whole["client"], 3)), path)

    with pytest.raises(UserError, match=r"has no device for client 3\. Draw"):
        fleet.read(path, 5)
    with pytest.raises(UserError, match=r"has no device for client 3 and 2 more\. Draw"):
        fleet.read(path, 7)


def test_a_file_for_more_clients_or_in_another_order_is_refused(drawn: Callable[..., Path]) -> None:
    path = drawn("equal", "always", clients=5)
    with pytest.raises(UserError, match="has 5 rows for 4 clients in order"):
        fleet.read(path, 4)

    pq.write_table(pq.read_table(path).take([0, 2, 1, 3, 4]), path)
    with pytest.raises(UserError, match="has 5 rows for 5 clients in order"):
        fleet.read(path, 5)


def gap(whole: pa.Table) -> pa.Table:
    return whole.set_column(1, "milliseconds_per_sample", pa.array([1.0, None]))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (gap, "milliseconds_per_sample has gaps"),
        (lambda whole: whole.drop_columns("ends"), "expected columns client, .*ends, found"),
        (lambda whole: whole.replace_schema_metadata({}), "does not say how long its period is"),
        (lambda whole: whole.replace_schema_metadata({"period_seconds": "a day"}), "does not say how long its period"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    change: Callable[[pa.Table], pa.Table], expected: str, drawn: Callable[..., Path]
) -> None:
    path = drawn("equal", "always", clients=2)
    pq.write_table(change(pq.read_table(path)), path)

    with pytest.raises(UserError, match=expected):
        fleet.read(path, 2)


def test_a_damaged_file_is_named(drawn: Callable[..., Path]) -> None:
    path = drawn("equal", "day_and_night")
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 255
    path.write_bytes(content)

    with pytest.raises(UserError, match=r"devices\.parquet is damaged, or not a parquet file"):
        fleet.read(path, 12)


def test_the_slowest_devices_can_go_to_the_first_clients() -> None:
    """The same devices, each with its own network, in another order."""
    drawn, ordered = (
        fleet.draw("lognormal", {}, "always", {}, clients=50, seed=3, order=order).capacities
        for order in ("drawn", "slowest_first")
    )
    pairs = [set(zip(*(of.milliseconds_per_sample, of.kilobits_per_second), strict=True)) for of in (drawn, ordered)]
    assert pairs[0] == pairs[1]
    assert (np.diff(ordered.milliseconds_per_sample) <= 0).all() and (np.diff(drawn.milliseconds_per_sample) > 0).any()
