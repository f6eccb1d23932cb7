"""Clients' vectors: where they lie, and that it makes no difference."""

from pathlib import Path

import pytest
import torch

from flexifed.engines import fast
from flexifed.training import weights
from tests.unit import federations


def test_vectors_beyond_the_free_memory_live_in_a_file_and_train_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mapping of an unlinked file, which the system pages in and out."""

    def trained(name: str) -> tuple[str, bool]:
        assembled = federations.assemble(tmp_path / name, federations.job(clients=8))
        engine = fast.create(assembled)
        assembled.server.upload(federations.trained(assembled, engine))
        assembled.server.step()
        mapped = "flexifed-weights-" in Path("/proc/self/maps").read_text()
        return federations.digest(assembled), mapped

    in_memory = trained("in memory")
    monkeypatch.setattr(weights.machine, "free_memory", lambda: 0)
    in_a_file = trained("in a file")
    assert in_a_file[0] == in_memory[0]
    assert (in_memory[1], in_a_file[1]) == (False, True)


def test_parts_do_not_grow_with_the_clients(tmp_path: Path) -> None:
    """Runs of layers with the same clients are one part, so the work is a few large operations."""
    counts = []
    for clients in (8, 32):
        assembled = federations.assemble(tmp_path / str(clients), federations.job(clients=clients))
        counts.append(len(assembled.server.parts))
    # VGG: conv1 of all; conv2 to conv6 of V2 to V4; conv7 of V3 and V4; and what is left of each of the four.
    assert counts == [7, 7]


def test_every_number_of_a_client_is_in_its_vector_once(tmp_path: Path) -> None:
    numbers = federations.numbers(federations.assemble(tmp_path, federations.job()))[1]
    numbers.values.copy_(torch.arange(len(numbers.values)))
    places = torch.cat([t.flatten() for t in numbers.state().values() if t.is_floating_point()])
    assert len(places.unique()) == len(places) <= numbers.layout.size
