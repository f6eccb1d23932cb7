"""The look-up table of budgets: which member of a family the clients of each tier hold, for every way to cut one.

Made in the cloud, before any training (eLF). What a member costs is `flexifed.elastic.costs`; of those that fit a
budget, the most expensive one is taken, and in ways that cut in two, the deepest one that is not cut too much in the
other (`narrowest`, `sparsest`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from flexifed.elastic import costs, masks
from flexifed.elastic.costs import Cost
from flexifed.settings import registry
from flexifed.settings.protocol import Budgets, Protocol, from_dict
from flexifed.sharing import planning
from flexifed.sharing.regions import Member
from flexifed.sharing.titles import member_title, version_title
from flexifed.system import files
from flexifed.system.errors import UserError

CUTS = ("depth", "width", "depth_and_width", "depth_and_sparsity")
"""Ways to make a member smaller: fewer layers, fewer channels, fewer values."""

MEASURES = {"parameters": "parameters", "multiply_adds": "multiply_adds", "bytes": "values", "memory": "memory"}
"""What a budget limits, as `Cost` calls it; bytes are four to a value."""

STEPS = 16
"""Widths that are tried are multiples of one by this number. Of equal ones, as narrow families have, the largest."""


@dataclass(frozen=True)
class Table:
    """Members by what is cut and tier.

    Attributes:
        family: registered name.
        shape: of a sample.
        classes: how many there are.
        measure: what is limited, see `Budgets`.
        levels: by tier, the share of the largest version's cost.
        largest: what the largest version costs.
        members: by way and tier.
        taken: by way and tier, the share of the largest version's cost that the member takes.
        faults: by way that leaves a tier without a member, why.
    """

    family: str
    shape: tuple[int, ...]
    classes: int
    measure: str
    levels: Mapping[str, float]
    largest: Mapping[str, int]
    members: Mapping[str, Mapping[str, Member]]
    taken: Mapping[str, Mapping[str, float]]
    faults: Mapping[str, str]

    def of(self, cuts: str) -> Mapping[str, Member]:
        """The members for a way to cut.

        Raises:
            UserError: a tier can afford no member.
        """
        if cuts in self.faults:
            raise UserError(self.faults[cuts])
        return self.members[cuts]


def look_up(family: str, shape: tuple[int, ...], classes: int, options: Mapping[str, Any], protocol: Protocol) -> Table:
    """The table of a family for a protocol with budgets.

    Args:
        family: registered name.
        shape: of a sample.
        classes: how many there are.
        options: the family's.
        protocol: whose `versions` name the tiers, and whose batches take memory.
    """
    budgets = protocol.budgets
    assert budgets is not None
    of = _Costs(family, shape, classes, options, protocol)
    levels = dict(zip(protocol.versions, budgets.levels, strict=True))
    members: dict[str, dict[str, Member]] = {}
    faults: dict[str, str] = {}
    for cuts in CUTS:
        try:
            members[cuts] = {tier: _largest(of, cuts, tier, level, budgets) for tier, level in levels.items()}
        except UserError as error:
            faults[cuts] = str(error)
    taken = {cuts: {tier: of.share(member) for tier, member in some.items()} for cuts, some in members.items()}
    return Table(family, shape, classes, budgets.measure, levels, asdict(of.whole), members, taken, faults)


class _Costs:
    """What members of a family cost, each looked at once."""

    def __init__(
        self, family: str, shape: tuple[int, ...], classes: int, options: Mapping[str, Any], protocol: Protocol
    ) -> None:
        assert protocol.budgets is not None
        self.family, self.shape, self.classes, self.options = family, shape, classes, options
        self.measure = protocol.budgets.measure
        self.batch = 1 if protocol.batch_size == "all" else protocol.batch_size
        self.versions: tuple[str, ...] = registry.constant("family", family, "VERSIONS")
        self.known: dict[tuple[str, float], tuple[Cost, int]] = {}
        self.whole = self.of(self.versions[-1])

    def of(self, version: str, width: float = 1.0, sparsity: float = 0.0) -> Cost:
        """Of a member. Pruning leaves the same share of every layer, and saves no memory of training."""
        if (version, width) not in self.known:
            member = Member(version, width)
            model = planning.build_member(self.family, member, self.shape, self.classes, self.options)
            prunable = sum(shape.numel() for shape in masks.prunable(model).values())
            self.known[version, width] = costs.of(model, self.shape, self.batch), prunable
        cost, prunable = self.known[version, width]
        gone = round(sparsity * prunable)
        return replace(
            cost,
            parameters=cost.parameters - gone,
            values=cost.values - gone,
            multiply_adds=round(cost.multiply_adds * (1 - sparsity)),
        )

    def member(self, version: str, width: float = 1.0, sparsity: float = 0.0) -> Member:
        """A member, with its work."""
        work = self.of(version, width, sparsity).multiply_adds / self.whole.multiply_adds
        return Member(version, width, sparsity, work)

    def share(self, member: Member) -> float:
        """What a member takes of the measure, as a share of the largest version's."""
        cost = self.of(member.version, member.width, member.sparsity)
        return getattr(cost, MEASURES[self.measure]) / getattr(self.whole, MEASURES[self.measure])  # type: ignore[no-any-return]


def _largest(of: _Costs, cuts: str, tier: str, level: float, budgets: Budgets) -> Member:
    """The member that a tier holds.

    Raises:
        UserError: even the smallest one is beyond the budget, or the family cannot be cut in this way.
    """
    smallest = None
    for some in _candidates(of, cuts, budgets):
        fitting = [member for member in some if of.share(member) <= level]
        if fitting:
            return max(fitting, key=lambda member: (of.share(member), member.width))
        smallest = min([*some, *([smallest] if smallest else [])], key=of.share)
    assert smallest is not None
    largest = version_title(of.family, of.versions[-1])
    raise UserError(
        f"tier {tier!r} can afford {level:g} of the {words(budgets.measure)} of {largest}. Cut by "
        f"{cuts.replace('_', ' ')}, the smallest member, {member_title(of.family, smallest)}, takes "
        f"{of.share(smallest):.3g}: raise this entry of `budgets.levels`, or let the strategy cut otherwise."
    )


def _candidates(of: _Costs, cuts: str, budgets: Budgets) -> Iterator[list[Member]]:
    """Members in groups: one of the first group that has one that fits is taken."""
    deepest_first = tuple(reversed(of.versions))
    if cuts == "depth":
        yield [of.member(version) for version in deepest_first]
    elif cuts == "width":
        yield [of.member(of.versions[-1], width) for width in _widths()]
    elif cuts == "depth_and_width":
        for version in deepest_first:
            yield [of.member(version, width) for width in _widths() if width >= budgets.narrowest]
        yield [of.member(of.versions[0], width) for width in _widths()]
    else:
        sparsities = _sparsities(budgets)
        for version in deepest_first:
            yield [of.member(version, sparsity=sparsity) for sparsity in sparsities if sparsity <= budgets.sparsest]
        yield [of.member(of.versions[0], sparsity=sparsity) for sparsity in sparsities]


def _widths() -> list[float]:
    return [step / STEPS for step in range(1, STEPS + 1)]


def _sparsities(budgets: Budgets) -> list[float]:
    """After each round of pruning."""
    return [budgets.pruning.sparsity_after(number) for number in range(budgets.pruning.rounds + 1)]


def members(table: Table, strategy: str, options: Mapping[str, Any]) -> Mapping[str, Member]:
    """What the clients of each tier hold under a strategy; what the first tier can afford if all must hold the same.

    Raises:
        UserError: a tier can afford no member.
    """
    found = table.of(registry.cuts(strategy, options))
    if registry.constant("strategy", strategy, "ONE_VERSION", False):
        first = next(iter(found.values()))
        return dict.fromkeys(found, first)
    return found


def describe(table: Table) -> str:
    """A table as text: for every way to cut, shares that tiers can afford and take, and the members they hold."""
    largest = version_title(table.family, registry.constant("family", table.family, "VERSIONS")[-1])
    lines = [f"{largest} takes {_amount(table)}. Of this a tier can afford, and takes:"]
    for cuts in CUTS:
        lines += ["", f"cut by {cuts.replace('_', ' ')}"]
        if cuts in table.faults:
            lines.append(f"  {table.faults[cuts]}")
        for tier, member in table.members.get(cuts, {}).items():
            taken = f"{table.taken[cuts][tier]:.3g}"
            lines.append(f"  {tier:<4} {table.levels[tier]:<8g} {taken:<8} {member_title(table.family, member)}")
    return "\n".join(lines)


def _amount(table: Table) -> str:
    """What the largest version takes of the measure, with its unit."""
    amount = table.largest[MEASURES[table.measure]] * (costs.BYTES if table.measure == "bytes" else 1)
    units = {"bytes": "bytes each way in a round", "memory": "bytes of memory in training"}
    return f"{amount:,} {units.get(table.measure, words(table.measure))}"


def words(measure: str) -> str:
    """A measure as people read it."""
    return {"multiply_adds": "multiply-adds", "memory": "memory of training"}.get(measure, measure)


def needs_masks(strategies: Iterable[tuple[str, Mapping[str, Any]]]) -> bool:
    """Whether one of these strategies, with its options, cuts single values."""
    return any("sparsity" in registry.cuts(strategy, options) for strategy, options in strategies)


def write(table: Table, path: Path) -> None:
    """Write a table as JSON."""
    files.write_json(path, asdict(table))


def read(path: Path) -> Table:
    """Read what `write` wrote.

    Raises:
        UserError: it is not there, or not a table; the file is named.
    """
    try:
        table: Table = from_dict(Table, files.read_object(path))
    except UserError as error:
        raise UserError(f"{path} is not a table of budgets: {error} Make it again.") from error
    return table
