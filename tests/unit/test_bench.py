"""The benchmark measures what it says it measures. Nothing here looks at how long anything took."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from flexifed import models
from flexifed.bench import (
    arithmetic,
    averaging,
    candidates,
    cells,
    clustering,
    dryrun,
    pairwise,
    sizes,
    subject,
    summary,
)
from flexifed.bench.candidates import FLOAT32, PLAIN, Candidate
from flexifed.bench.process import Died, as_they_end, loaded, process
from flexifed.bench.rounds import COLUMNS
from flexifed.bench.run import SCALING_FAMILY
from flexifed.bench.sizes import ONCE, Limit
from flexifed.bench.turns import Spread, in_turn, ratios
from flexifed.bench.workload import CLASSES, SHAPES, Workload, write_samples
from flexifed.settings import registry, rng
from flexifed.sharing import planning
from flexifed.sharing.layers import chain
from flexifed.system.errors import UserError
from tests.unit import federations

VERSIONS = tuple(version for version in ("V1", "V2", "V3", "V4") for _ in range(2))


def workload(folder: Path, family: str = "vgg") -> Workload:
    """Four clients of ten training and two test samples, batches of four, with all files written."""
    size = sizes.QUICK
    write_samples(folder, size.n_train, size.n_test)
    made = Workload(folder, family, size.width, size.protocol, size.n_train)
    made.write()
    return made


# Averaging


DEEPER = [f for f in registry.names("family") if registry.constant("family", f, "VERSIONS") == ("V1", "V2", "V3", "V4")]
"""Families with versions of several depths."""


def random_fleet(family: str) -> list[nn.Module]:
    """Two models of each version, every float of them random."""
    kind = registry.constant("family", family, "KIND")
    generator = rng.torch_stream(0, "test")
    fleet = []
    for version in VERSIONS:
        model = models.build(family, version, SHAPES[kind], CLASSES[kind], {"width": 0.0625}, generator)
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.normal_(generator=generator)
        fleet.append(model)
    return fleet


@pytest.mark.parametrize("family", DEEPER)
def test_pairwise_averages_are_those_of_the_plan(family: str) -> None:
    fleet = random_fleet(family)
    states = [model.state_dict() for model in fleet]
    before = [{key: tensor.clone() for key, tensor in state.items()} for state in states]
    averaged = pairwise.max_common(states, [pairwise.entries(model) for model in fleet])

    expected = [{key: t for key, t in state.items() if t.is_floating_point()} for state in before]
    plan = planning.for_family(family, "max_common", versions=VERSIONS, options={"width": 0.0625})
    layers = [chain(model) for model in fleet]
    for group in plan.groups:
        members = [layers[client][depth - 1] for client, depth in zip(group.clients, group.depths, strict=True)]
        for key in members[0].weights + members[0].normalisation:
            mean = torch.stack([before[client][key] for client in group.clients]).mean(dim=0)
            for client in group.clients:
                expected[client][key] = mean
    for client, tensors in enumerate(expected):
        for key, tensor in tensors.items():
            torch.testing.assert_close(averaged[client][key], tensor)
            assert torch.equal(states[client][key], before[client][key]), "an input was changed"


def test_the_widest_models_that_fit_are_taken(tmp_path: Path) -> None:
    wide, narrow = (Workload(tmp_path, "vgg", width, sizes.GPU.protocol, 4000) for width in (1.0, 0.125))
    assert averaging.model_bytes(wide) == pytest.approx(4 * 32.3e6, rel=0.01)  # 28.1, 28.3, 33.6 and 39.0 M floats
    assert averaging.fitting([wide, narrow], 1, available=8e9) is wide
    assert averaging.fitting([wide, narrow], 1, available=1e9) is narrow
    assert averaging.fitting([wide, narrow], 1, available=float("nan")) is wide


# Who shares which layer


def test_comparisons_of_a_known_case_are_counted() -> None:
    """Chains abc, abd and x. In pairs: 3 between the first two, 1 between each of them and the last; each way."""
    chains = ["abc", "abd", "x"]
    assert clustering.pairwise(chains) == clustering.tree(chains) == [[2, 2, 1], [2, 2, 1], [1]]
    assert clustering.comparisons(clustering.pairwise, chains) == 2 * (3 + 1 + 1)
    hashed, equal = 7, 2  # every layer once; the second a and b are found to be the first ones
    assert clustering.comparisons(clustering.tree, chains) == hashed + equal


@pytest.mark.parametrize("family", registry.names("family"))
def test_pairs_and_tree_agree_on_who_shares_which_layer(family: str) -> None:
    chains = clustering.chains_of(family, 12)
    assert clustering.pairwise(chains) == clustering.tree(chains)


def test_pairs_grow_with_the_square_of_the_clients_and_the_tree_in_proportion() -> None:
    few, many = (clustering.chains_of("vgg", clients) for clients in (40, 80))
    pairs = [clustering.comparisons(clustering.pairwise, chains) for chains in (few, many)]
    looks = [clustering.comparisons(clustering.tree, chains) for chains in (few, many)]
    assert pairs[1] / pairs[0] == pytest.approx(4, rel=0.05)
    assert looks[1] <= 2 * sum(map(len, many))
    assert looks[1] / looks[0] == pytest.approx(2, rel=0.05)


def test_too_many_clients_are_not_compared_in_pairs() -> None:
    (row,) = clustering.measure("vgg", 8, ONCE, most_pairwise=4)
    assert row["candidate"] == clustering.TREE and "ratio" not in row


# Rounds


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Count optimiser steps, samples in training mode and samples in `eval()` of whole models."""
    seen = {"steps": 0, "trained": 0, "tested": 0}

    def step(*_: object) -> None:
        seen["steps"] += 1

    def forward(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if isinstance(module, nn.Sequential):  # a VGG has no other one inside
            seen["trained" if module.training else "tested"] += len(inputs[0])

    handles = [register_optimizer_step_post_hook(step), nn.modules.module.register_module_forward_pre_hook(forward)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("engine", [PLAIN, "serial"])
def test_plain_loop_and_engine_do_the_same_work(tmp_path: Path, engine: str) -> None:
    given = workload(tmp_path)
    given = given.varied(slices=2, local_epochs=3, batch_size=3)  # batches of 3 and 2
    subject.load(Candidate(engine, FLOAT32), given, "cpu", 1)
    with counted() as seen:
        subject.run_round()
    clients = given.protocol.clients
    assert seen == {"steps": clients * 3 * 2, "trained": clients * 3 * 5, "tested": clients * 2}
    assert (given.steps, given.samples) == (seen["steps"], seen["trained"])


def test_plain_loop_learns(tmp_path: Path) -> None:
    federations.prepared(tmp_path / "text", "text", n_train=80, n_test=16)
    given = Workload(tmp_path, "vdcnn", 0.0625, sizes.QUICK.protocol, 80)
    given = given.varied(versions=("V1",), clients=4, parts=4, local_epochs=5)
    given.write()
    with torch.random.fork_rng():
        torch.manual_seed(0)  # of the global generator, from which torchvision and the loaders draw
        subject.load(Candidate(PLAIN, FLOAT32), given, "cpu", 1)
        (loaded,) = subject._subjects
        first, *_, last = (loaded.engine.train(round_number) for round_number in range(1, 6))
    assert sum(last) < 0.8 * sum(first)


def test_flops_are_those_of_the_model(tmp_path: Path) -> None:
    given = Workload(tmp_path, "vgg", 1.0, sizes.GPU.protocol, 50_000)
    flops = arithmetic.of_model(given, "V1")
    assert flops.test == pytest.approx(2 * 172e6, rel=0.01)
    first_layer = 2 * 32 * 32 * 64 * 3 * 9  # whose input needs no gradient
    assert flops.training == pytest.approx(3 * flops.test - first_layer)
    per_version = [arithmetic.of_model(given, version) for version in given.protocol.versions]
    expected = sum(2 * (2500 * f.training + 500 * f.test) for f in per_version)
    assert arithmetic.of_round(given, 10_000) == pytest.approx(expected)


def test_actions_take_turns_until_the_limit() -> None:
    called: list[str] = []
    numbers = count()

    def act(name: str) -> int:
        called.append(name)
        return next(numbers)

    actions = {name: (lambda name=name: act(name)) for name in "ab"}
    assert in_turn(actions, Limit(repetitions=2, seconds=60), warm_ups=1) == {"a": [2, 4], "b": [3, 5]}
    assert called == list("ababab")
    assert in_turn(actions, Limit(repetitions=9, seconds=0)) == {"a": [6], "b": [7]}
    assert ratios([2.0, 6.0, 4.0], [1.0, 2.0, 4.0]) == Spread(median=2.0, low=1.0, high=3.0)


def test_cells_that_do_not_fit_into_memory_are_not_measured(tmp_path: Path) -> None:
    given, serial = Workload(tmp_path, "vgg", 1.0, sizes.CPU.protocol, 4000), Candidate("serial", FLOAT32)
    assert cells.measure(given, serial, ONCE, cores=2, cell_bytes=1e15) == []


# Processes


def test_a_process_that_is_killed_ends_the_wait_for_it(tmp_path: Path) -> None:
    """Also the wait for a process beside it that would work on for an hour."""
    subjects = {"one": (Candidate("serial", FLOAT32), workload(tmp_path))}
    began = time.monotonic()
    lost = "measures serial float32 on vgg was lost: killed by SIGKILL, during sleep"
    with pytest.raises(Died, match=lost), process("another") as other, loaded(subjects, "cpu", 1) as processes:
        pid = processes["one"].call(os.getpid)
        threading.Timer(1, os.kill, (pid, signal.SIGKILL)).start()
        for call in as_they_end([one.start(time.sleep, 3600) for one in (other, processes["one"])]):
            call.result()
    assert time.monotonic() - began < 600


@pytest.mark.parametrize(("sent", "said"), [(signal.SIGSEGV, "killed by SIGSEGV"), (None, "ended with exit code 3")])
def test_a_process_that_is_lost_between_two_calls_is_an_error(sent: signal.Signals | None, said: str) -> None:
    with pytest.raises(Died, match=f"nothing was lost: {said}, during (getpid|kill|_exit)"), process("nothing") as one:
        pid = one.call(os.getpid)
        one.call(os.kill, pid, sent) if sent else one.call(os._exit, 3)
        one.call(os.getpid)


def test_processes_end_with_a_benchmark_that_is_killed(tmp_path: Path) -> None:
    """Whoever reads its output would otherwise wait for them."""
    program = (
        "import os, time\nfrom flexifed.bench.process import process\n"
        "if __name__ == '__main__':\n"
        "    with process('nothing') as one: print(one.call(os.getpid), flush=True); one.call(time.sleep, 3600)"
    )
    (tmp_path / "program.py").write_text(program)
    environment = os.environ | {"PYTHONPATH": str(registry.PACKAGE.parent)}
    command = [sys.executable, str(tmp_path / "program.py")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as benchmark:
        assert benchmark.stdout and int(benchmark.stdout.readline())
        benchmark.kill()
        benchmark.communicate(timeout=60)


def test_a_dry_run_that_is_killed_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho planning >&2\nkill -9 $$\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(UserError, match=r"dry run was lost: killed by SIGKILL\. It said:\nplanning"):
        dryrun.measure(1, ONCE)


# The whole


def test_quick_run_writes_everything(tmp_path: Path) -> None:
    out = tmp_path / "bench"
    command = [sys.executable, "-m", "flexifed", "bench", "--quick", "--device", "cpu", "--out", str(out)]
    two_threads = os.environ | {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}
    subprocess.run(command, check=True, cwd=registry.PACKAGE.parent, env=two_threads, capture_output=True, timeout=600)
    table = {name: pd.read_csv(out / f"{name}.csv") for name in summary.PARTS}

    rounds = table["rounds"]
    assert tuple(rounds.columns) == COLUMNS
    known = candidates.known("cpu")
    assert known[0] == Candidate(PLAIN, FLOAT32) and {c.engine for c in known[1:]} == set(registry.names("engine"))
    measured = [Candidate(row["candidate"], row["precision"]) for row in rounds.to_dict("records")]
    assert measured == known * len(sizes.QUICK.families)
    assert (rounds.loc[rounds["candidate"] == PLAIN, "ratio"] == 1).all()
    assert (rounds[["seconds", "samples_per_second", "product_tflops", "fraction", "peak_memory_mb"]] > 0).all(
        axis=None
    )
    assert (rounds["steps"] == 12).all() and (rounds["samples"] == 40).all()
    parts = rounds[["train_seconds", "evaluate_seconds"]].sum(axis=1)
    assert parts.to_list() == pytest.approx(rounds["seconds"].to_list(), rel=1e-4)

    side_by_side = table["cells"]
    assert list(zip(side_by_side["cells"], side_by_side["threads"], strict=True)) == [(1, 2), (2, 1)] * 2
    assert side_by_side["family"].drop_duplicates().to_list() == list(sizes.QUICK.families)
    one, two = side_by_side.head(2).to_dict("records")
    assert one["ratio"] == 1
    assert two["ratio"] == pytest.approx(two["samples_per_second"] / one["samples_per_second"], rel=1e-4)

    assert list(table["aggregation"]["candidate"]) == ["pairwise", "fast"]
    assert (table["aggregation"]["extra_models"] >= 0).all()
    clustered = table["clustering"]
    assert list(clustered["candidate"]) == [clustering.PAIRWISE, clustering.TREE, clustering.TREE]
    assert list(clustered["clients"]) == [8, 8, 16]
    assert list(clustered["ratio"].isna()) == [False, False, True]
    assert list(table["scaling"]["varied"].unique()) == ["clients", "samples", "depth"]
    assert list(table["scaling"].loc[table["scaling"]["varied"] == "depth", "value"]) == [11, 13, 16, 19]
    assert set(table["scaling"]["family"]) == {SCALING_FAMILY}
    assert table["dryrun"]["cells"].to_list() == [40]
    machine = json.loads((out / "machine.json").read_text())
    assert machine["quick"] and machine["product_tflops"][FLOAT32] > 0
    assert (out / "bench.md").read_text() == summary.markdown(out) + "\n"
    assert (out / "bench.png").stat().st_size > 10_000 and (out / "bench.svg").exists()


def test_dry_run_is_left_out_with_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert dryrun.missing() is None
    monkeypatch.setattr(dryrun, "STUDY", tmp_path / "config.yaml")
    assert "no checkout" in str(dryrun.missing())
    monkeypatch.setitem(sys.modules, "snakemake", None)
    assert dryrun.missing() == "snakemake is not installed"


# The tables


def test_markdown_needs_the_files_alone(tmp_path: Path) -> None:
    row = dict.fromkeys(COLUMNS, 1) | {"family": "vgg", "candidate": PLAIN, "precision": FLOAT32, "seconds": 12.849}
    other = row | {"candidate": "fast", "precision": "bfloat16", "seconds": 0.2504, "samples_per_second": 79872.2}
    other |= {"ratio": 51.31, "ratio_low": 49.0, "ratio_high": 52.25, "fraction": 0.123, "peak_memory_mb": float("nan")}
    pd.DataFrame([row, other]).to_csv(tmp_path / "rounds.csv", index=False)
    machine = {
        "device": "NVIDIA H200", "kind": "cuda", "processor": "Xeon", "cores": 16, "cpu_flags": ["avx2", "amx_bf16"],
        "packages": {"torch": "2.14.1"}, "date": "2026-11-21T03:00:00+00:00", "commit": {"id": "00c1d54c1ef"},
        "size": "protocol official", "product_tflops": {FLOAT32: 51.27, "bfloat16": 790.4},
    }  # fmt: skip
    (tmp_path / "machine.json").write_text(json.dumps(machine))
    program = (
        "import sys; sys.modules.update(torch=None, pydantic=None, matplotlib=None)\n"
        "from pathlib import Path; from flexifed.bench import summary; print(summary.markdown(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=registry.PACKAGE.parent)
    head, heading, table = done.stdout.strip().split("\n\n")
    assert head.startswith(
        "NVIDIA H200, 16 processor cores (Xeon) with amx_bf16, torch 2.14.1; 2026-11-21, commit 00c1d54."
    )
    assert "float32 51.3, bfloat16 790" in head
    assert heading.startswith("A round's local training")
    assert table.splitlines()[2:] == [
        "| VGG | plain | 1 | 12.8 | 1 | 1 × | 1 | 100 % |",
        "| VGG | fast, bfloat16 | 1 | 0.25 | 79,900 | 51.3 × (49–52.2) | – | 12 % |",
    ]
    assert summary.markdown(tmp_path, ("cells",)) == head, "a part that was not measured is left out"
