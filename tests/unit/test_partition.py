"""Numbers of each partitioner worked by hand, what they refuse, and the partition file."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from flexifed.data import partition, samples
from flexifed.data.samples import Pool
from flexifed.partitioners import by_speaker, dirichlet, iid, natural, one_class, quantity, shards
from flexifed.partitioners._dealing import like_training
from flexifed.settings.protocol import Partition
from flexifed.system.errors import UserError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pool(*sizes: int, groups: list[int] | None = None) -> Pool:
    """A split with the given number of samples of class 0, 1, ..."""
    speakers = None if groups is None else np.array(groups, dtype=np.int32)
    return Pool(np.repeat(np.arange(len(sizes)), sizes), speakers)


def mix(split: Pool, indices: np.ndarray) -> list[int]:
    """Samples of each class among the indices."""
    return np.bincount(split.labels[indices], minlength=split.labels.max() + 1).tolist()


CIFAR_TRAIN, CIFAR_TEST = pool(*[5000] * 10), pool(*[1000] * 10)


class TestIid:
    def test_official_protocol_gives_2500_training_and_500_test_samples(self) -> None:
        assignment = iid.partition(CIFAR_TRAIN, CIFAR_TEST, 8, rng(), parts=20)

        assert [len(indices) for indices in assignment.train] == [2500] * 8
        assert [len(indices) for indices in assignment.test] == [500] * 8

    def test_pieces_differ_by_at_most_one(self) -> None:
        assignment = iid.partition(pool(11), pool(5), 3, rng())

        assert [len(indices) for indices in assignment.train] == [4, 4, 3]
        assert [len(indices) for indices in assignment.test] == [2, 2, 1]

    def test_more_clients_than_parts(self) -> None:
        with pytest.raises(UserError, match="12 clients need 12 parts, parts is 8"):
            iid.partition(pool(100), pool(100), 12, rng(), parts=8)

    def test_more_parts_than_samples(self) -> None:
        with pytest.raises(UserError, match="the test set has 7 samples, which cannot be cut into 20 pieces"):
            iid.partition(pool(100), pool(7), 2, rng(), parts=20)


class TestOneClass:
    def test_paper_a4_gives_1250_samples_of_at_most_two_classes(self) -> None:
        assignment = one_class.partition(CIFAR_TRAIN, CIFAR_TEST, 40, rng())

        for train, test in zip(assignment.train, assignment.test, strict=True):
            classes = np.flatnonzero(mix(CIFAR_TRAIN, train))
            assert len(train) == 1250 and len(test) == 250
            assert len(classes) <= 2
            assert np.array_equal(classes, np.flatnonzero(mix(CIFAR_TEST, test)))

    @pytest.mark.parametrize(
        ("sizes", "parts", "expected"),
        [
            ([900, 100], 10, [9, 1]),
            ([60, 30, 10], 10, [6, 3, 1]),
            ([997, 2, 1], 5, [3, 1, 1]),  # every class has one
            ([3, 0, 1], 4, [3, 0, 1]),  # one sample each
        ],
    )
    def test_partitions_follow_class_sizes(self, sizes: list[int], parts: int, expected: list[int]) -> None:
        assert one_class.partitions_per_class(np.array(sizes), parts).tolist() == expected

    def test_draw_is_random(self) -> None:
        train = pool(*[10] * 10)

        lists = one_class.partition(train, None, 10, rng(), per_client=1).train

        assert [max(train.labels[indices]) for indices in lists] != list(range(10))

    def test_default_cuts_at_least_one_partition_of_each_class(self) -> None:
        train = pool(*[6] * 30)

        assignment = one_class.partition(train, pool(*[3] * 30), 4, rng())

        assert [len(indices) for indices in assignment.train] == [12] * 4

    def test_client_with_one_class_twice_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level("INFO"):
            one_class.partition(pool(40), pool(10), 2, rng())

        assert "2 of 2 clients drew a class more than once: [0, 1]" in caplog.text

    def test_fewer_partitions_than_clients_draw(self) -> None:
        with pytest.raises(UserError, match="12 clients x 2 one-class partitions need 24 partitions, parts is 20"):
            one_class.partition(CIFAR_TRAIN, CIFAR_TEST, 12, rng(), parts=20)

    def test_fewer_partitions_than_classes(self) -> None:
        with pytest.raises(UserError, match="10 classes need at least 10 one-class partitions, parts is 8"):
            one_class.partition(CIFAR_TRAIN, CIFAR_TEST, 4, rng(), parts=8)

    def test_fewer_samples_than_partitions(self) -> None:
        with pytest.raises(UserError, match="5 samples, which cannot be cut into 6 one-class partitions"):
            one_class.partition(pool(4, 1), pool(4, 1), 3, rng())


class TestShards:
    def test_shards_of_one_class_each(self) -> None:
        train = pool(*[100] * 10)

        assignment = shards.partition(train, pool(*[10] * 10), 10, rng())

        for indices in assignment.train:
            assert {n for n in mix(train, indices) if n} <= {50, 100}

    def test_shards_are_cut_across_classes(self) -> None:
        train = pool(2, 2, 2)

        assignment = shards.partition(train, None, 2, rng(), per_client=1)

        assert sorted(mix(train, indices) for indices in assignment.train) == [[0, 1, 2], [2, 1, 0]]

    def test_shards_are_random(self) -> None:
        train = pool(*[10] * 10)

        lists = shards.partition(train, None, 10, rng(), per_client=1).train

        assert [max(train.labels[indices]) for indices in lists] != list(range(10))
        halves = shards.partition(pool(100), None, 2, rng(), per_client=1).train
        assert sorted(halves[0]) not in (list(range(50)), list(range(50, 100)))

    def test_more_shards_than_samples(self) -> None:
        with pytest.raises(UserError, match="training set has 30 samples, which cannot be cut into 32 pieces"):
            shards.partition(pool(30), pool(30), 8, rng(), per_client=4)


class TestDirichlet:
    def test_concentration_decides_how_uneven_the_classes_are(self) -> None:
        def largest_share(alpha: float) -> float:
            lists = dirichlet.partition(CIFAR_TRAIN, None, 10, rng(), alpha=alpha).train
            return float(np.mean([max(mix(CIFAR_TRAIN, indices)) / len(indices) for indices in lists]))

        assert largest_share(0.05) > 0.5
        assert largest_share(1000) == pytest.approx(0.1, abs=0.02)

    def test_every_client_has_min_size(self) -> None:
        lists = dirichlet.partition(pool(100, 100, 100), None, 6, rng(), alpha=0.3, min_size=20).train

        assert min(map(len, lists)) >= 20

    def test_gives_up_after_bounded_draws(self) -> None:
        with pytest.raises(
            UserError, match=r"no draw out of 1000 .* 40 clients min_size 10 of 400 .* alpha 0\.1: .* had \d\."
        ):
            dirichlet.partition(pool(*[40] * 10), None, 40, rng(), alpha=0.1)

    def test_fewer_samples_than_min_sizes(self) -> None:
        with pytest.raises(UserError, match="8 clients x min_size 10 need 80 training samples, there are 70"):
            dirichlet.partition(pool(70), None, 8, rng())


class TestQuantity:
    def test_no_spread_means_equal_sizes(self) -> None:
        lists = quantity.partition(pool(100), None, 4, rng(), sigma=0.0).train

        assert [len(indices) for indices in lists] == [25, 25, 25, 25]

    def test_sizes_spread_above_the_minimum(self) -> None:
        sizes = [len(indices) for indices in quantity.partition(pool(10_000), None, 50, rng(), min_size=30).train]

        # Above the minimum sizes are lognormal: their logarithms have standard deviation sigma = 1.
        assert min(sizes) >= 30
        assert np.std(np.log(np.array(sizes) - 29.5)) == pytest.approx(1, abs=0.25)

    def test_class_mix_is_that_of_the_data_set(self) -> None:
        train = pool(30_000, 10_000)

        for indices in quantity.partition(train, None, 4, rng()).train:
            assert np.mean(train.labels[indices]) == pytest.approx(0.25, abs=0.03)

    def test_fewer_samples_than_min_sizes(self) -> None:
        with pytest.raises(UserError, match="5 clients x min_size 30 need 150 training samples, there are 149"):
            quantity.partition(pool(149), None, 5, rng(), min_size=30)


class TestBySpeaker:
    def test_speakers_stay_whole_and_sizes_are_balanced(self) -> None:
        groups = np.repeat(np.arange(40), np.arange(1, 41)).tolist()
        train = pool(len(groups), groups=groups)

        lists = by_speaker.partition(train, None, 4, rng()).train

        speakers = [set(np.array(groups)[indices]) for indices in lists]
        sizes = [len(indices) for indices in lists]
        assert sum(map(len, speakers)) == 40
        assert max(sizes) - min(sizes) <= 40  # the largest speaker

    def test_no_speakers(self) -> None:
        with pytest.raises(UserError, match="does not say who spoke"):
            by_speaker.partition(pool(10), None, 2, rng())

    def test_fewer_speakers_than_clients(self) -> None:
        with pytest.raises(UserError, match="4 clients need 4 speakers, the training set has 3"):
            by_speaker.partition(pool(6, groups=[5, 5, 5, 6, 7, 7]), None, 4, rng())


class TestNatural:
    TRAIN = pool(9, groups=[7, 7, 7, 7, 2, 2, 2, 5, 5])  # groups 7, 2 and 5 with 4, 3 and 2 samples
    TEST = pool(4, groups=[5, 2, 5, 9])

    def test_a_client_is_a_group_in_training_and_in_tests(self) -> None:
        assignment = natural.partition(self.TRAIN, self.TEST, 2, rng())

        dealt = [[each.tolist() for each in pair] for pair in zip(assignment.train, assignment.test, strict=True)]
        assert sorted(dealt) == [[[4, 5, 6], [1]], [[7, 8], [0, 2]]]

    def test_groups_without_test_samples_are_kept_where_the_whole_test_set_is_for_all(self) -> None:
        assignment = natural.partition(self.TRAIN, None, 3, rng())

        assert sorted(each.tolist() for each in assignment.train) == [[0, 1, 2, 3], [4, 5, 6], [7, 8]]

    def test_small_groups_are_left_out(self) -> None:
        assignment = natural.partition(self.TRAIN, self.TEST, 1, rng(), at_least=3)

        assert [each.tolist() for each in (*assignment.train, *assignment.test)] == [[4, 5, 6], [1]]

    def test_each_group_is_drawn_equally_often(self) -> None:
        groups = np.arange(10).repeat(3).tolist()
        drawn = [natural.partition(pool(30, groups=groups), None, 4, rng(seed)).train for seed in range(500)]

        counts = np.bincount([groups[indices[0]] for lists in drawn for indices in lists])
        assert abs(counts - 200).max() < 60, "each is drawn with probability 0.4: 200 +- 11"

    def test_fewer_groups_than_clients(self) -> None:
        with pytest.raises(UserError) as error:
            natural.partition(self.TRAIN, self.TEST, 2, rng(), at_least=3)
        assert str(error.value) == (
            "2 clients need 2 groups (writers, speakers or users). The training set has 3, of which 2 have 3 samples "
            "or more, and 1 of these have no test samples: use fewer clients (1 at most) or a smaller at_least, or "
            "test every client on the whole test set (test_set: whole)."
        )

    def test_no_groups(self) -> None:
        with pytest.raises(UserError, match=r"does not say who wrote, spoke or clicked .* such as femnist"):
            natural.partition(pool(10), None, 2, rng())


class TestTestShards:
    TRAIN = pool(4, 4)  # samples 0..3 are of class 0, 4..7 of class 1

    def shards(self, train: Pool, test: Pool, *lists: list[int]) -> list[list[int]]:
        dealt = like_training(train, test, [np.array(indices) for indices in lists], rng())
        assert len(np.unique(np.concatenate(dealt))) == sum(map(len, dealt))
        return [mix(test, indices) for indices in dealt]

    def test_follow_the_training_classes(self) -> None:
        # Client 0 has 3/4 of class 0 and 1/4 of class 1; 3/4 of 8 and 1/4 of 4.
        assert self.shards(self.TRAIN, pool(8, 4), [0, 1, 2, 4], [3, 5, 6, 7]) == [[6, 1], [2, 3]]

    def test_samples_that_nobody_trains_on_keep_their_share(self) -> None:
        assert self.shards(self.TRAIN, pool(8, 4), [0, 1], [4]) == [[4, 0], [0, 1]]

    def test_rounding_keeps_sizes_even(self) -> None:
        # Each has a third of all thirty classes, 4/3 of the test samples of each: one or two.
        train, test = pool(*[3] * 30), pool(*[4] * 30)

        dealt = self.shards(train, test, *(list(range(client, 90, 3)) for client in range(3)))

        assert [sum(counts) for counts in dealt] == [40, 40, 40]
        assert {n for counts in dealt for n in counts} == {1, 2}

    def test_rounding_is_to_a_neighbour(self) -> None:
        assignment = dirichlet.partition(CIFAR_TRAIN, CIFAR_TEST, 12, rng(), alpha=0.1)

        for train, test in zip(assignment.train, assignment.test, strict=True):
            exact = np.array(mix(CIFAR_TRAIN, train)) * 1000 / 5000
            assert np.all(np.abs(mix(CIFAR_TEST, test) - exact) < 1)

    def test_a_class_that_is_missing_on_one_side(self) -> None:
        assert self.shards(self.TRAIN, pool(0, 4, 2), [0, 4, 5], [1, 6, 7]) == [[0, 2, 0], [0, 2, 0]]

    def test_nobody_is_left_without(self) -> None:
        # 10 test samples at 99:1 would be dealt 10:0.
        everything_but_one = list(range(99))

        assert self.shards(pool(100), pool(10), everything_but_one, [99]) == [[9], [1]]
        assert self.shards(pool(100), pool(10), [99]) == [[1]]

    def test_too_few_test_samples(self) -> None:
        with pytest.raises(
            UserError, match=r"client [01]: it trains on 1 samples of class\(es\) 0, .* has 1 samples for 2"
        ):
            self.shards(pool(2), pool(1), [0], [1])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def split(n: int) -> samples.Split:
        return samples.Split(np.zeros((n, 1, 1, 1), np.uint8), rng(n).integers(0, 4, n), None)

    folder = tmp_path_factory.mktemp("prepared")
    data = samples.Prepared(split(400), split(90), ("a", "b", "c", "d"))
    samples.write(folder, data, dataset="made_up", kind="image", source={}, options={})
    return folder


class TestFile:
    def make(
        self, prepared: Path, out: Path, *, clients: int = 4, seed: int = 0, test_set: str = "shard", **settings: Any
    ) -> Path:
        partition.partition(prepared, Partition(**settings), clients=clients, test_set=test_set, seed=seed, out=out)
        return out

    def test_columns(self, prepared: Path, tmp_path: Path) -> None:
        table = pq.read_table(self.make(prepared, tmp_path / "p.parquet"))

        assert {field.name: str(field.type) for field in table.schema} == {
            "client": "int32",
            "split": "dictionary<values=string, indices=int8, ordered=0>",
            "sample": "int32",
            "order": "int32",
        }
        assert table.to_pandas().groupby("split", observed=True).size().to_dict() == {"train": 400, "test": 90}

    def test_same_seed_same_bytes(self, prepared: Path, tmp_path: Path) -> None:
        first, again, other = (self.make(prepared, tmp_path / f"{i}", seed=s) for i, s in enumerate([3, 3, 4]))

        assert first.read_bytes() == again.read_bytes() != other.read_bytes()

    def test_round_trip_whatever_the_order_of_rows(self, prepared: Path, tmp_path: Path) -> None:
        clients = [
            partition.ClientSamples(np.array([5, 2, 9]), np.array([0])),
            partition.ClientSamples(np.array([7]), np.array([1, 3])),
            partition.ClientSamples(np.array([4, 8]), np.array([], dtype=np.int64)),
        ]
        partition.write(tmp_path / "p.parquet", clients)
        table = pd.read_parquet(tmp_path / "p.parquet")
        table.sample(frac=1, random_state=1).to_parquet(tmp_path / "mixed.parquet", index=False)

        for path in ("p.parquet", "mixed.parquet"):
            read = partition.read(tmp_path / path)
            assert [c.train.tolist() for c in read] == [[5, 2, 9], [7], [4, 8]]
            assert [c.test.tolist() for c in read] == [[0], [1, 3], []]

    @pytest.mark.parametrize("rows", [1, 3, 7, 11])
    def test_lists_may_straddle_row_groups(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
        monkeypatch.setattr(partition, "ROW_GROUP", rows)
        lists = [([5, 2, 9, 1], [0, 3]), ([7], [0, 3]), ([4, 8], []), ([6, 3], [0, 3])]
        clients = [partition.ClientSamples(np.array(a), np.array(b, dtype=np.int64)) for a, b in lists]
        partition.write(tmp_path / "p.parquet", clients)

        read = partition.read(tmp_path / "p.parquet")

        assert pq.ParquetFile(tmp_path / "p.parquet").metadata.row_group(0).num_rows == rows
        assert [(c.train.tolist(), c.test.tolist()) for c in read] == lists
        assert all(c.train.dtype == c.test.dtype == np.int64 for c in read)

    def test_order_of_training_lists(self, prepared: Path, tmp_path: Path) -> None:
        shuffled = partition.read(self.make(prepared, tmp_path / "shuffled", order="shuffled"))
        ascending = partition.read(self.make(prepared, tmp_path / "index", order="index"))

        for one, other in zip(shuffled, ascending, strict=True):
            assert one.train.tolist() != other.train.tolist() == sorted(one.train)

    @pytest.mark.parametrize(
        ("train", "parts", "classes", "largest_share"),
        [
            (90_000, 20, 10, 0.17),  # the authors
            (90_000, 40, 10, 0.18),  # Yogurteer
            (90_000, 8, 3.7, 0.37),  # Ruicrand
            (180_000, 8, 2.4, 0.59),  # what 2006wzt avoided by shuffling
        ],
    )
    def test_set_order_gives_slices_of_few_classes_where_the_table_of_the_set_is_large(
        self, train: int, parts: int, classes: float, largest_share: float
    ) -> None:
        """CINIC-10, stored class by class: measured on the reproductions, 8 clients and 10 slices."""
        labels = np.repeat(np.arange(10), train // 10)
        mixes = []
        for client in range(8):
            held = np.random.default_rng(client).permutation(train)[: train // parts]
            for piece in np.array_split(partition.set_order(held), 10):
                mixes.append(np.bincount(labels[piece], minlength=10) / len(piece))

        assert np.mean([np.count_nonzero(mix > 0.01) for mix in mixes]) == pytest.approx(classes, abs=0.15)
        assert np.mean([mix.max() for mix in mixes]) == pytest.approx(largest_share, abs=0.015)

    def test_set_order_holds_the_same_samples_in_an_order_of_its_own(self, prepared: Path, tmp_path: Path) -> None:
        orders = {
            order: partition.read(self.make(prepared, tmp_path / order, order=order, clients=40))[0].train.tolist()
            for order in ("shuffled", "index", "set")
        }

        assert orders["set"] not in (orders["shuffled"], orders["index"])
        assert sorted(orders["set"]) == orders["index"]

    def test_seed_decides_who_gets_what(self, prepared: Path, tmp_path: Path) -> None:
        first, other = (self.make(prepared, tmp_path / f"{seed}", seed=seed, order="index") for seed in (1, 2))

        assert partition.read(first)[0].train.tolist() != partition.read(other)[0].train.tolist()

    def test_seed_decides_the_order(self, prepared: Path, tmp_path: Path) -> None:
        first, other = (
            partition.read(self.make(prepared, tmp_path / f"{seed}", clients=1, seed=seed))[0].train for seed in (1, 2)
        )

        assert sorted(first) == sorted(other) == list(range(400))
        assert first.tolist() != other.tolist()

    def test_whole_test_set_for_every_client(self, prepared: Path, tmp_path: Path) -> None:
        whole = partition.read(self.make(prepared, tmp_path / "whole", test_set="whole", partitioner="dirichlet"))
        shard = partition.read(self.make(prepared, tmp_path / "shard", partitioner="dirichlet"))

        assert all(c.test.tolist() == list(range(90)) for c in whole)
        assert all(c.test is whole[0].test for c in whole), "held once"
        assert [c.train.tolist() for c in whole] == [c.train.tolist() for c in shard]

    def test_a_whole_test_set_is_said_once_and_files_that_list_it_are_read_as_before(
        self, prepared: Path, tmp_path: Path
    ) -> None:
        said = self.make(prepared, tmp_path / "said", test_set="whole")
        held = partition.read(said)
        partition.write(tmp_path / "listed", held)

        assert set(pq.read_table(said)["split"].to_pylist()) == {"train"}
        for one, other in zip(held, partition.read(tmp_path / "listed"), strict=True):
            assert one.train.tolist() == other.train.tolist() and one.test.tolist() == other.test.tolist()

    @pytest.mark.parametrize(
        ("said", "expected"), [("many", "is damaged, or not a parquet file"), ("90", "its splits are train, test, exp")]
    )
    def test_a_whole_test_set_that_is_not_one(self, prepared: Path, tmp_path: Path, said: str, expected: str) -> None:
        listed = pq.read_table(self.make(prepared, tmp_path / "listed"))
        pq.write_table(listed.replace_schema_metadata({partition.WHOLE: said}), tmp_path / "wrong")

        with pytest.raises(UserError, match=expected):
            partition.read(tmp_path / "wrong")

    def test_refusal_names_the_data_set_and_leaves_no_file(self, prepared: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=f"{prepared} for 4 clients with 'iid': 4 clients need 4 parts, parts is 2"):
            self.make(prepared, tmp_path / "p.parquet", options={"parts": 2})

        assert list(tmp_path.iterdir()) == []

    def test_unknown_option(self, prepared: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="Did you mean 'parts'"):
            self.make(prepared, tmp_path / "p.parquet", options={"part": 2})
