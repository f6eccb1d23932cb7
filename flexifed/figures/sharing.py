"""The figure of plans: who averages which layer with whom."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from flexifed.analysis.titles import strategy_rank, title
from flexifed.figures.style import legend_below, save, styled
from flexifed.sharing import plan
from flexifed.sharing.places import in_largest
from flexifed.sharing.plan import Average, Plan
from flexifed.sharing.titles import member_title, version_title

MANY = 40
"""Clients; of more, those that share alike are one row."""

PERSONAL = "#E3E3E3"
"""Colour of a layer that a client averages with nobody."""


@styled
def draw(plans: Sequence[Plan]) -> Figure:
    """Who averages which layer with whom: a panel per plan, a row per client, a column per layer from input to output.

    Cells of one colour in a column are averaged together; a colour is the same set of clients everywhere. Grey is kept
    personal, blank is beyond the last layer of the client's version. Fully connected layers that are averaged across
    versions have one colour and stand in different columns. Where a strategy goes by place, columns are the layers of
    the largest version, and blank is what a client's member does not have of them. Of many clients a row stands for all
    that share alike under every plan.

    Args:
        plans: of one family and the same clients, at least one.
    """
    rows = "a row for all clients that share alike; " if len(plans[0].versions) > MANY else ""
    plans = _one_row_each(plans) if rows else plans
    family, versions = plans[0].family, plans[0].versions
    ranked = sorted(plans, key=lambda one: strategy_rank(one.strategy))
    sets = {frozenset(group.clients) for one in ranked for group in one.groups}
    ordered = sorted(sets, key=lambda clients: (-len(clients), sorted(clients)))
    palette = {clients: _SET_COLOURS[i % len(_SET_COLOURS)] for i, clients in enumerate(ordered)}
    row = 0.13 if len(versions) <= 12 else 0.05
    figure = Figure(figsize=(9.2, 0.9 + len(ranked) * (0.45 + row * len(versions)) + 0.05 * len(ordered)))
    panels = figure.subplots(len(ranked), 1, sharex=True, squeeze=False)[:, 0]
    by_place = next((one for one in ranked if one.largest), None)
    for panel, one in zip(panels, ranked, strict=True):
        _sharing_panel(panel, one, _columns(one, by_place), palette)
    of = f" of {version_title(family, by_place.largest)}" if by_place and by_place.largest else ""
    panels[-1].set_xlabel(f"{rows}layer{of}, from input to output")
    handles = [Patch(color=c, label=_clients_text(family, versions, clients)) for clients, c in palette.items()]
    legend_below(figure, [*handles, Patch(color=PERSONAL, label="personal")], 4)
    return figure


def _one_row_each(plans: Sequence[Plan]) -> list[Plan]:
    """The plans of one client for all clients of a version that are in the same groups of each of them."""
    versions = plans[0].versions
    shares: list[list[tuple[int, int, int]]] = [[] for _ in versions]
    for number, one in enumerate(plans):
        for place, group in enumerate(one.groups):
            for client, depth in zip(group.clients, group.depths, strict=True):
                shares[client].append((number, place, depth))
    first: dict[tuple[object, ...], int] = {}
    for client, version in enumerate(versions):
        first.setdefault((version, *shares[client]), client)
    rows = {client: row for row, client in enumerate(first.values())}
    return [
        replace(
            one,
            versions=tuple(one.versions[client] for client in rows),
            groups=tuple(_only(group, rows) for group in one.groups),
        )
        for one in plans
    ]


def _only(group: Average, rows: Mapping[int, int]) -> Average:
    pairs = [(rows[c], depth) for c, depth in zip(group.clients, group.depths, strict=True) if c in rows]
    clients, depths = zip(*pairs, strict=True)
    return replace(group, clients=clients, depths=depths)


def _columns(one: Plan, by_place: Plan | None) -> dict[str, list[int]]:
    """The columns of the layers of each version or tier, from 1: by place in the largest version, if a plan names it.

    Args:
        one: the plan whose columns these are.
        by_place: one of the figure's that names the layers of the largest version.
    """
    if by_place is None or by_place.largest is None:
        return {version: list(range(1, len(one.layers[version]) + 1)) for version in one.versions}
    order = by_place.layers[by_place.largest]
    lie = {tier: in_largest(one.family, one.members[tier].version, one.layers[tier], order) for tier in one.members}
    return {tier: [order.index(place) + 1 for place in its_places] for tier, its_places in lie.items()}


_SET_COLOURS = (
    "#332288", "#88CCEE", "#44AA99", "#DDCC77", "#CC6677", "#882255", "#AA4499", "#117733", "#999933",
)  # fmt: skip
"""Paul Tol's muted set, colour-blind safe; none of them stands for a strategy."""


def _sharing_panel(
    panel: Axes, one: Plan, columns: Mapping[str, Sequence[int]], palette: Mapping[frozenset[int], str]
) -> None:
    """One plan."""
    fill = {(client, column): PERSONAL for client, version in enumerate(one.versions) for column in columns[version]}
    for group in one.groups:
        cells = [(c, columns[one.versions[c]][d - 1]) for c, d in zip(group.clients, group.depths, strict=True)]
        fill |= dict.fromkeys(cells, palette[frozenset(group.clients)])
    for (client, column), colour in fill.items():
        panel.add_patch(Rectangle((column - 0.46, client - 0.44), 0.92, 0.88, facecolor=colour))
    last = max(max(some) for some in columns.values())
    panel.set_xticks(range(1, last + 1) if last <= 24 else [1, *range(5, last + 1, 5)])
    panel.set_xlim(0.4, last + 0.6)
    panel.set_ylim(len(one.versions) - 0.4, -0.6)
    middle = {v: np.mean([i for i, w in enumerate(one.versions) if w == v]) for v in one.versions}
    panel.set_yticks(list(middle.values()), [_row_title(one, version) for version in middle])
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    panel.set_title(title(one.strategy))


def _row_title(one: Plan, version: str) -> str:
    """The version, or the tier and what its clients hold."""
    if version not in one.members:
        return version_title(one.family, version)
    return f"{version}: {member_title(one.family, one.members[version])}"


def _clients_text(family: str, versions: Sequence[str], clients: frozenset[int]) -> str:
    """`all clients`, the versions if they are all there, else the numbers of the clients."""
    if len(clients) == len(versions):
        return "all clients"
    there = dict.fromkeys(versions[client] for client in sorted(clients))
    if len(clients) == sum(version in there for version in versions):
        return ", ".join(version_title(family, version) for version in there)
    return "clients " + ", ".join(map(str, sorted(clients)))


def write(plan_files: Sequence[Path], stem: Path) -> None:
    """`draw` of the plans of one family and protocol."""
    save(draw([plan.read(path) for path in plan_files]), stem)
