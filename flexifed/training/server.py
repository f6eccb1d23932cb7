"""The server: one copy of every part that a plan shares, and what each client keeps for itself between its rounds.

A participant downloads its model (the server's parts, the rest from its own store), trains it, and uploads it. Uploads
are folded into means as they come, in the order of the clients; when the cohort is through, the server takes its step.
So memory is what is personal, two copies of what is shared, and the models under way, however many clients there are.

Before anybody has uploaded a part, the server has no value of it, and everybody starts from its own initial values,
which come from the seed and are not stored here. Parts of which participants have a piece only are an exception: their
initial values are the server's from the beginning. There are two kinds. Of embedding tables a participant has the rows
that its samples ask for, and a row that it does not have is one that it has not changed. Of a family's largest version
it has what it can afford, and the rule says what stands for the rest.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from flexifed.training.client import Client, Turn
from flexifed.training.parts import Part, Range, rest
from flexifed.training.rules import Fill, Filled, Rule, Uploads, Weighing
from flexifed.training.submodels import Submodels
from flexifed.training.weights import Layout, Run, Weights, runs, vectors


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part, or a piece of it, lies in a client's vector.

    Attributes:
        part: its number.
        start: in the client's vector.
        stop: likewise.
        at: where the piece begins in the part; or the place of each value there, int64, for rows of an embedding table
            and for channels of a layer.
        own: which values of the piece exist, counted from `start`, int64; None for all.
    """

    part: int
    start: int
    stop: int
    at: int | Tensor = 0
    own: Tensor | None = None

    def of(self, part: Tensor) -> Tensor:
        """The piece's values in the part."""
        return part[self.at : self.at + self.stop - self.start] if isinstance(self.at, int) else part[self.at]

    def read(self, values: Tensor) -> Tensor:
        """The piece's values in a client's vector."""
        piece = values[self.start : self.stop]
        return piece if self.own is None else piece[self.own]

    def write(self, values: Tensor, found: Tensor) -> None:
        """Put them there."""
        if self.own is None:
            values[self.start : self.stop].copy_(found)
        else:
            values[self.start : self.stop][self.own] = found


@dataclass(frozen=True)
class Makeup:
    """What a client's vector is made of; clients that hold the same parts at the same places share one of these.

    Attributes:
        layout: of the vector.
        places: of the parts.
        personal: ranges that are in no part.
        shared_buffers: ranges of running statistics that are in a part.
        parts: the numbers of the parts.
    """

    layout: Layout
    places: tuple[Place, ...]
    personal: tuple[Range, ...]
    shared_buffers: tuple[Range, ...]
    parts: frozenset[int]


@dataclass
class Held:
    """A part on the server.

    Attributes:
        value: `[length]`; None until it has been uploaded, but for parts with embedding tables.
        state: the rule's vectors, each `[length]`.
        mean: of the uploads of this round so far; between rounds only memory.
        start: mean of what this round's participants had downloaded, where the part has no value and the rule asks.
        shares: of a part that is cut: of each value, the shares of the uploads that had it, `[length]`.
        total: of the uploads' shares.
        curvature: of the uploads, see `rules.Uploads`.
        uploads: in this round so far.
        steps: taken so far.
    """

    value: Tensor | None = None
    state: dict[str, Tensor] = field(default_factory=dict)
    mean: Tensor | None = None
    start: Tensor | None = None
    shares: Tensor | None = None
    total: float = 0.0
    curvature: float = 0.0
    uploads: int = 0
    steps: int = 0


class Server:
    """Holds the federation's numbers between turns."""

    def __init__(
        self,
        clients: Sequence[Client],
        parts: Sequence[Part],
        rule: Rule,
        initial: Callable[[Client], Weights],
        device: torch.device,
        *,
        averaging: str = "uniform",
        keeps_momentum: bool = False,
        dtype: torch.dtype = torch.float32,
        wholes: Mapping[str, Weights] = MappingProxyType({}),
        submodels: Submodels | None = None,
    ) -> None:
        """Args:
        clients: of the federation, by id.
        parts: what they share.
        rule: the server's step.
        initial: a client's initial numbers, which are copied.
        device: where shared parts and models under way are.
        averaging: `uniform`, or `samples` for uploads weighted by the clients' numbers of training samples.
        keeps_momentum: whether clients keep the momentum of their optimiser over the rounds.
        dtype: of all values.
        wholes: by version, the initial numbers of the whole model, where clients hold some rows of its tables only.
        submodels: what clients hold of the family's largest version, which is the last part then.
        """
        self.clients, self.parts, self.rule, self.initial = clients, parts, rule, initial
        self.device, self.averaging, self.dtype = device, averaging, dtype
        self.wholes, self.submodels = wholes, submodels
        layouts = {version: numbers.layout for version, numbers in wholes.items()}
        self.makeups = _makeups(clients, parts, layouts, submodels, 0)
        self.whole_makeups = _whole_makeups(clients, parts, layouts)
        self.held = [Held(self._initial_value(part)) for part in parts]
        sizes = {c.id: _length(self.makeups[c.id].personal) for c in clients}
        with_some = [client for client, size in sizes.items() if size]
        self.personal = dict(zip(with_some, vectors([sizes[c] for c in with_some], device, dtype), strict=True))
        self.counters: dict[int, Tensor] = {}
        self.statistics: dict[int, Tensor] = {}
        self.turns: dict[int, int] = {}
        momenta = vectors([c.layout.size for c in clients], device, dtype) if keeps_momentum else []
        self.velocities = {
            c.id: Weights(c.layout, values, torch.zeros(len(c.layout.counters), dtype=torch.int64))
            for c, values in zip(clients if keeps_momentum else [], momenta, strict=True)
        }
        self.slots: dict[tuple[str, int], Weights] = {}

    def _initial_value(self, part: Part) -> Tensor | None:
        """The initial value of a part of which clients have pieces; None for any other."""
        if part.is_cut:
            assert self.submodels is not None
            return self.submodels.initial.values.to(self.device, self.dtype, copy=True)
        if not part.tables:
            return None
        values = self.wholes[self.clients[part.clients[0]].version].values
        start = part.starts[0]
        return values[start : start + part.length].to(self.device, self.dtype, copy=True)

    def download(self, crew: Sequence[Client], *, whole: bool = False) -> list[Turn]:
        """The models of participants that are under way together; they are good until the next download.

        Args:
            crew: the participants.
            whole: with all rows of embedding tables, for samples that are not the client's own.
        """
        seen: dict[str, int] = {}
        turns = []
        for client in crew:
            place = seen[client.version] = seen.get(client.version, -1) + 1
            layout = self.wholes[client.version].layout if whole and client.layout.rows else client.layout
            slot = self._slot(layout, client.version, place)
            self.copy_model(client, slot)
            number = 1 + self.turns.get(client.id, 0)
            turns.append(Turn(client, slot, self.velocities.get(client.id), number))
        return turns

    def _slot(self, layout: Layout, version: str, place: int) -> Weights:
        key = (version, place)
        if key not in self.slots or self.slots[key].layout is not layout:
            values = torch.zeros(layout.size, dtype=self.dtype, device=self.device)
            counters = torch.zeros(len(layout.counters), dtype=torch.int64, device=self.device)
            self.slots[key] = Weights(layout, values, counters)
        return self.slots[key]

    def copy_model(self, client: Client, into: Weights) -> None:
        """A client's model as it is at this time, whether or not the client has ever taken part."""
        is_whole = into.layout is not client.layout and client.version in self.whole_makeups
        makeup = self.whole_makeups[client.version] if is_whole else self.makeups[client.id]
        if client.id not in self.turns or any(self.held[place.part].value is None for place in makeup.places):
            into.copy_(self.wholes[client.version] if is_whole else self.initial(client))
        if client.id in self.personal and client.id in self.turns:
            _scatter(self.personal[client.id], into.values, makeup.personal)
        for place in makeup.places:
            value = self.held[place.part].value
            if value is not None:
                place.write(into.values, place.of(value))
        if client.id in self.statistics:
            _scatter(self.statistics[client.id], into.values, makeup.shared_buffers)
        if client.id in self.counters:
            into.counters.copy_(self.counters[client.id])

    def upload(self, turns: Sequence[Turn], losses: Sequence[float] = ()) -> None:
        """Fold in what participants share, and keep what is theirs alone; a rule may weigh them by their losses."""
        for i, turn in enumerate(turns):
            client, values = turn.client, turn.weights.values
            share = float(len(client.train)) if self.averaging == "samples" else 1.0
            curvature = 0.0
            if isinstance(self.rule, Weighing):
                curvature = share * self.rule.curvature(losses[i], self._squared_distance(turn))
                share *= self.rule.weight(losses[i])
            makeup = self.makeups[client.id]
            for number in makeup.parts:
                if not self.held[number].uploads:
                    self._open(self.parts[number], self.held[number])
            for place in makeup.places:
                held = self.held[place.part]
                if self.parts[place.part].is_cut:
                    self._add_piece(held, place, place.read(values), share)
                    continue
                if self.parts[place.part].tables:
                    self._fold_piece(held, place, values[place.start : place.stop], share)
                    continue
                if held.value is None and self.rule.RELATIVE:
                    start = self.initial(client).values[place.start : place.stop].to(self.device)
                    held.start = _fold(held.start, start, share, held)
                held.mean = _fold(held.mean, values[place.start : place.stop], share, held)
            if self.submodels is not None:
                self._lend(self.submodels, turn, share)
            for number in makeup.parts:
                held = self.held[number]
                held.total += share
                held.curvature += curvature
                held.uploads += 1
            if client.id in self.personal:
                _gather(values, makeup.personal, self.personal[client.id])
            self._keep_counters(turn)
            self.statistics.pop(client.id, None)
            self.turns[client.id] = self.turns.get(client.id, 0) + 1

    def _open(self, part: Part, held: Held) -> None:
        """Make room for the uploads of a part of which clients have pieces; differences are added up from zero."""
        if not (part.tables or part.is_cut):
            return
        assert held.value is not None
        if held.mean is None:
            held.mean = torch.zeros_like(held.value)
        if part.is_cut:
            held.shares = torch.zeros_like(held.value) if held.shares is None else held.shares.zero_()
            held.mean.zero_()
        for a, b in part.tables:
            held.mean[a:b].zero_()

    def _fold_piece(self, held: Held, place: Place, values: Tensor, share: float) -> None:
        """Fold in a piece of a part with tables: rows as weighted differences from what the server has."""
        assert held.value is not None and held.mean is not None
        if isinstance(place.at, Tensor):
            held.mean.index_add_(0, place.at, values - held.value[place.at], alpha=share)
        else:
            _fold(place.of(held.mean), values, share, held)

    def _add_piece(self, held: Held, place: Place, values: Tensor, share: float) -> None:
        """Add up weighted differences of what a participant has of a part that is cut."""
        assert held.value is not None and held.mean is not None and held.shares is not None
        difference = values - place.of(held.value)
        if isinstance(place.at, int):
            place.of(held.mean).add_(difference, alpha=share)
            place.of(held.shares).add_(share)
        else:
            held.mean.index_add_(0, place.at, difference, alpha=share)
            held.shares.index_add_(0, place.at, torch.full_like(difference, share))

    def _lend(self, submodels: Submodels, turn: Turn, share: float) -> None:
        """Add what stands for the layers that a participant lacks, where that is more than nothing or zeros."""
        fill, held = self._fill, self.held[-1]
        if fill not in ("previous_layer", "random"):
            return
        assert held.value is not None and held.mean is not None
        drawn = submodels.random(turn.client.id, held.steps).to(held.value) if fill == "random" else None
        for run in submodels.lent(turn.client.version):
            now = held.value[run.start : run.stop]
            if drawn is not None:
                stands = drawn[run.start : run.stop]
            elif run.source is None:
                stands = torch.zeros_like(now)
            else:
                stands = turn.weights.values[run.source : run.source + len(now)]
            held.mean[run.start : run.stop].add_(stands - now, alpha=share)

    @property
    def _fill(self) -> Fill:
        return self.rule.fill if isinstance(self.rule, Filled) else "owners"

    def _settle(self, part: Part, held: Held, now: Tensor) -> None:
        """Turn the added differences of a part that is cut into a mean; what nobody has had stays as it is."""
        assert held.mean is not None and held.shares is not None
        mean, had = held.mean, held.shares > 0
        owners = torch.where(had, now + mean / held.shares, now)
        if self._fill == "owners":
            mean.copy_(owners)
            return
        if self._fill == "zeros":
            mean.sub_((held.total - held.shares) * now)
        mean.copy_(torch.where(had, now + mean / held.total, now))
        for a, b in part.buffers:
            mean[a:b].copy_(owners[a:b])

    @property
    def loss(self) -> str | None:
        """Which loss of participants the rule weighs them by, see `Weighing.loss`; None for none."""
        return self.rule.loss if isinstance(self.rule, Weighing) else None

    def _squared_distance(self, turn: Turn) -> float:
        """Of an upload from what was downloaded, in what is shared."""
        values, initial = turn.weights.values, None
        total = 0.0
        for place in self.makeups[turn.client.id].places:
            value = self.held[place.part].value
            if value is None:
                initial = initial or self.initial(turn.client)
                start = initial.values[place.start : place.stop].to(self.device)
            else:
                start = place.of(value)
            total += (place.read(values) - start).double().square().sum().item()
        return total

    def keep_statistics(self, turns: Sequence[Turn]) -> None:
        """Keep what a test in training mode has moved: running statistics, and how many batches they are of."""
        for turn in turns:
            client, makeup = turn.client, self.makeups[turn.client.id]
            values = turn.weights.values
            self.statistics[client.id] = _gather(values, makeup.shared_buffers)
            if client.id in self.personal:
                _gather(values, makeup.personal, self.personal[client.id])
            self._keep_counters(turn)

    def _keep_counters(self, turn: Turn) -> None:
        if len(turn.weights.counters):
            self.counters[turn.client.id] = turn.weights.counters.clone()

    @torch.no_grad()
    def step(self) -> None:
        """The cohort is through: every part that was uploaded takes its next value."""
        for part, held in zip(self.parts, self.held, strict=True):
            if held.uploads:
                assert held.mean is not None
                self._step(part, held, held.mean)
                held.value, held.mean = held.mean, held.value
                held.start, held.total, held.curvature, held.uploads = None, 0.0, 0.0, 0
        self._roll()

    def _roll(self) -> None:
        """Let windows move on to where they are after so many steps."""
        if self.submodels is not None and self.submodels.roll:
            self.makeups = _makeups(self.clients, self.parts, {}, self.submodels, self.held[-1].steps)

    def _step(self, part: Part, held: Held, mean: Tensor) -> None:
        now = held.start if held.value is None else held.value
        if now is None:
            now = mean  # of a rule that does not look at it
        if part.is_cut:
            self._settle(part, held, now)
        for a, b in part.tables:
            mean[a:b].div_(held.total).add_(now[a:b])
        for name in self.rule.STATE:
            if name not in held.state:
                held.state[name] = torch.zeros_like(mean)
        plain = [] if self.rule.STEPS_BUFFERS else [mean[a:b].clone() for a, b in part.buffers]
        held.steps += 1
        self.rule.step(now, mean, held.state, Uploads(held.uploads, held.total, held.curvature, held.steps))
        for (a, b), statistics in zip(part.buffers, plain, strict=False):
            mean[a:b].copy_(statistics)

    def same_model(self, client: Client) -> Hashable:
        """Equal for clients whose models are equal, as far as that follows from what is shared."""
        alone = client.id in self.personal or client.id in self.statistics
        return client.id if alone else (client.version, self.makeups[client.id].parts)

    def described(self) -> dict[str, Any]:
        """Which tensors there are, as JSON: what a checkpoint needs before it can be read."""
        return {
            "parts": [(i, held.steps) for i, held in enumerate(self.held) if held.value is not None],
            "turns": sorted(self.turns.items()),
            "statistics": sorted(self.statistics),
        }

    def make_room(self, described: Mapping[str, Any]) -> None:
        """Be as a server was that gave this description, but for the numbers, which `tensors` then has room for."""
        steps = dict(described["parts"])
        for i, (part, held) in enumerate(zip(self.parts, self.held, strict=True)):
            there = i in steps
            held.steps = steps.get(i, 0)
            held.value = self._room(part.length) if there else self._initial_value(part)
            held.state = {name: self._room(part.length) for name in self.rule.STATE if there}
        self.turns = dict(described["turns"])
        self.counters = {
            c: torch.zeros(n, dtype=torch.int64, device=self.device)
            for c in self.turns
            if (n := len(self.clients[c].layout.counters))
        }
        self.statistics = {c: self._room(_length(self.makeups[c].shared_buffers)) for c in described["statistics"]}
        self._roll()

    def _room(self, length: int) -> Tensor:
        return torch.zeros(length, dtype=self.dtype, device=self.device)

    def tensors(self) -> dict[str, Tensor]:
        """All numbers that the next round depends on, by name."""
        found: dict[str, Tensor] = {}
        for i, held in enumerate(self.held):
            if held.value is not None:
                found[f"part{i:04}.value"] = held.value
                found |= {f"part{i:04}.{name}": vector for name, vector in held.state.items()}
        for client in sorted(self.turns):
            of_client = {
                "personal": self.personal.get(client),
                "statistics": self.statistics.get(client),
                "counters": self.counters.get(client),
                "velocity": self.velocities[client].values if client in self.velocities else None,
            }
            found |= {f"client{client:06}.{name}": t for name, t in of_client.items() if t is not None}
        return found


def _makeups(
    clients: Sequence[Client],
    parts: Sequence[Part],
    wholes: Mapping[str, Layout],
    submodels: Submodels | None,
    step: int,
) -> list[Makeup]:
    made: dict[tuple[str, tuple[Place, ...]], Makeup] = {}
    found = []
    for client, places in zip(clients, _places(clients, parts), strict=True):
        if client.layout.rows:
            pieces = runs(wholes[client.version], client.layout)
            padding = rest([(run.start, run.stop) for run in pieces], client.layout.size)
            found.append(_makeup(client.layout, tuple(_pieces(places, pieces)), padding))
            continue
        key = (client.version, places)
        if key not in made:
            cuts = submodels.cuts(client.version, step) if submodels else ()
            cut = tuple(Place(len(parts) - 1, c.start, c.stop, c.at, c.own) for c in cuts)
            padding = _padding(client.layout) if submodels else ()
            made[key] = _makeup(client.layout, (*places, *cut), padding, {len(parts) - 1} if submodels else set())
        found.append(made[key])
    return found


def _padding(layout: Layout) -> tuple[Range, ...]:
    """The ranges of a vector that belong to no tensor."""
    return rest([(slot.start, slot.start + slot.shape.numel()) for slot in layout.slots.values()], layout.size)


def _whole_makeups(clients: Sequence[Client], parts: Sequence[Part], wholes: Mapping[str, Layout]) -> dict[str, Makeup]:
    """Of the models with all rows of their tables, by version; clients of a version share the same parts."""
    of_version = {client.version: places for client, places in zip(clients, _places(clients, parts), strict=True)}
    return {version: _makeup(layout, of_version[version]) for version, layout in wholes.items()}


def _places(clients: Sequence[Client], parts: Sequence[Part]) -> list[tuple[Place, ...]]:
    """Where the parts lie in the vectors of the clients' whole models."""
    places: list[list[Place]] = [[] for _ in clients]
    for number, part in enumerate(parts):
        for holder, start in zip(() if part.is_cut else part.clients, part.starts, strict=True):
            places[holder].append(Place(number, start, start + part.length))
    return [tuple(some) for some in places]


def _pieces(places: Sequence[Place], pieces: Sequence[Run]) -> Iterator[Place]:
    """Places in a whole model, as places in the vector of a client that holds some rows of its tables only."""
    for place in places:
        for run in pieces:
            if isinstance(run.at, Tensor):
                if len(run.at) and place.start <= run.at[0] < place.stop:
                    yield Place(place.part, run.start, run.stop, run.at - place.start)
                continue
            first, last = max(run.at, place.start), min(run.at + run.stop - run.start, place.stop)
            if first < last:
                moved = run.start - run.at
                yield Place(place.part, first + moved, last + moved, first - place.start)


def _makeup(
    layout: Layout, places: tuple[Place, ...], padding: Sequence[Range] = (), more: AbstractSet[int] = frozenset()
) -> Makeup:
    taken = [(place.start, place.stop) for place in places]
    shared = tuple((a, b) for a, b in layout.buffers if any(start <= a and b <= stop for start, stop in taken))
    personal = rest([*taken, *padding], layout.size)
    return Makeup(layout, places, personal, shared, frozenset(place.part for place in places) | more)


def _fold(mean: Tensor | None, values: Tensor, share: float, held: Held) -> Tensor:
    """The running mean with one more entry: exact on equal entries, and one tensor however many there are."""
    if mean is None:
        return values.clone()
    return mean.lerp_(values, share / (held.total + share)) if held.uploads else mean.copy_(values)


def _length(ranges: Sequence[Range]) -> int:
    return sum(b - a for a, b in ranges)


def _gather(values: Tensor, ranges: Sequence[Range], into: Tensor | None = None) -> Tensor:
    """The values in these ranges, one after the other."""
    found = torch.cat([values[a:b] for a, b in ranges]) if ranges else values[:0].clone()
    return found if into is None else into.copy_(found)


def _scatter(found: Tensor, values: Tensor, ranges: Sequence[Range]) -> None:
    """The inverse of `_gather`."""
    for (a, b), run in zip(ranges, found.split([b - a for a, b in ranges]), strict=True):
        values[a:b].copy_(run)
