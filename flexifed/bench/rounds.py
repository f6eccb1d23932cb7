"""A training round of every family: the plain loop against every engine in every precision."""

import statistics
from collections.abc import Iterable
from functools import partial
from typing import Any

from flexifed.bench import arithmetic, subject
from flexifed.bench.candidates import FLOAT32, PLAIN, Candidate
from flexifed.bench.process import loaded
from flexifed.bench.sizes import WARM_UPS, Limit
from flexifed.bench.turns import in_turn, ratios, spread
from flexifed.bench.workload import Workload

COLUMNS = (
    "family", "versions", "clients", "width", "candidate", "precision", "threads", "steps", "samples", "repetitions",
    "seconds", "seconds_low", "seconds_high", "train_seconds", "aggregate_seconds", "evaluate_seconds",
    "samples_per_second", "ratio", "ratio_low", "ratio_high", "peak_memory_mb", "round_tflop", "product_tflops",
    "fraction",
)  # fmt: skip
"""Of rounds.csv.

`seconds`: a round's training and one test (`Seconds.total`), median and range of the repetitions. `ratio`: the plain
loop's seconds by the candidate's, turn by turn. `peak_memory_mb`: beyond what the process held before it loaded
anything; allocated on a GPU, resident on a CPU (there with what torch's libraries take for themselves, about 100 MB).
`round_tflop`: convolutions and matrix products of a round. `product_tflops`: the rate of large matrix products in this
precision in the same process; `fraction`: of that rate, reached over the round.
"""


def measure(
    workload: Workload,
    candidates: Iterable[Candidate],
    limit: Limit,
    *,
    n_test: int,
    device: str,
    threads: int,
) -> list[dict[str, Any]]:
    """One row for each candidate, for one family."""
    workload.write()
    flop = arithmetic.of_round(workload, n_test)
    rows = []
    with loaded({one: (one, workload) for one in candidates}, device, threads) as processes:
        turns = {one: partial(p.call, subject.run_round) for one, p in processes.items()}
        measured = in_turn(turns, limit, warm_ups=WARM_UPS)
        plain = [round_.total for round_ in measured[Candidate(PLAIN, FLOAT32)]]
        for candidate, process in processes.items():
            rounds, peak = measured[candidate], process.call(subject.peak)
            seconds, product = [one.total for one in rounds], process.call(subject.matrix_product_rate)
            median = statistics.median(seconds)
            rows.append(
                {
                    "family": workload.family,
                    "versions": " ".join(workload.protocol.versions),
                    "clients": workload.protocol.clients,
                    "width": workload.width,
                    "candidate": candidate.engine,
                    "precision": candidate.precision,
                    "threads": threads,
                    "steps": workload.steps,
                    "samples": workload.samples,
                    "repetitions": len(rounds),
                    **spread(seconds).columns("seconds"),
                    "train_seconds": statistics.median(one.train for one in rounds),
                    "aggregate_seconds": statistics.median(one.aggregate for one in rounds),
                    "evaluate_seconds": statistics.median(one.evaluate for one in rounds),
                    "samples_per_second": workload.samples / median,
                    **ratios(plain, seconds).columns("ratio"),
                    "peak_memory_mb": peak / 1e6,
                    "round_tflop": flop / 1e12,
                    "product_tflops": product / 1e12,
                    "fraction": flop / median / product,
                }
            )
    return rows


def fastest(rows: Iterable[dict[str, Any]], family: str) -> Candidate:
    """The engine that trains most samples a second on a family, the plain loop aside."""
    engines = [row for row in rows if row["family"] == family and row["candidate"] != PLAIN]
    best = max(engines, key=lambda row: row["samples_per_second"])
    return Candidate(best["candidate"], best["precision"])
