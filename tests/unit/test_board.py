"""The board: how many published numbers came to what."""

from pathlib import Path

import pandas as pd

from flexifed.analysis import beside, board, published

README = "shaoxiongji/federated-learning README"
MLP = {"dataset": "mnist", "family": "mlp", "version": "V1", "strategy": "fedavg", "metric": "accuracy"}


def folder(path: Path, name: str, rows: list[dict[str, object]]) -> Path:
    (path / "tables").mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path / f"tables/{name}.csv", index=False)
    return path


def of(table: pd.DataFrame, source: str) -> dict[str, int]:
    """The counts of a source that are not zero."""
    (line,) = table[table["source"] == source][["numbers", *board.OUTCOMES]].to_dict("records")
    return {str(name): count for name, count in line.items() if count}


def test_every_published_number_is_told_from_every_other() -> None:
    keys = [board._key(dict(row)) for row in published.numbers().to_dict("records")]
    assert len(set(keys)) == len(keys)


def test_without_results_every_number_is_open() -> None:
    table = board.board([])
    assert table["numbers"].sum() == table["open"].sum() == len(published.numbers())


def test_numbers_of_single_settings_count_once_by_their_best_line(tmp_path: Path) -> None:
    lines = [
        (10, 94.57, beside.INSIDE),
        (10, 70.44, beside.ABOVE),
        (50, 97.21, beside.NOT_COMPARABLE),
        (50, 97.21, beside.BELOW),
        (50, 93.03, "missing"),
    ]
    rows = [{**MLP, "source": README, "at": at, "published": value, "verdict": word} for at, value, word in lines]
    first = folder(tmp_path / "a", "beside", rows)  # type: ignore[arg-type]
    again = folder(tmp_path / "b", "beside", [{**rows[1], "verdict": beside.TOO_FEW}])
    counts = of(board.board([first, again]), README)
    assert counts == {"numbers": 8, "reproduced": 1, "theirs is higher": 1, "theirs is lower": 1, "open": 5}


def test_table_1_counts_its_versions_and_not_their_mean(tmp_path: Path) -> None:
    line = {"dataset": "cifar10", "family": "vgg", "strategy": "standalone", "source": "paper", "published": 64.4}
    places = {"V1": "inside", "V2": "above", "V3": "not comparable", "V4": "missing", "mean": "inside"}
    rows = [{**line, "version": version, "published_is": place} for version, place in places.items()]
    counts = of(board.board([folder(tmp_path, "errors", rows)]), "paper")  # type: ignore[arg-type]
    assert counts == {"numbers": 160, "reproduced": 1, "theirs is higher": 1, "undecided": 1, "open": 157}
