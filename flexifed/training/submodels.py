"""Where the values of a smaller member lie in the largest version of its family, and what stands for those it lacks.

The server holds the largest version as one part. A participant downloads the pieces of it that its member has, trains
that member at its own size, and uploads them; no model is masked at full size.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from flexifed.settings import rng
from flexifed.sharing.layers import Chain
from flexifed.sharing.places import places
from flexifed.sharing.plan import Average, Plan, layer_names
from flexifed.training.parts import averaged_keys
from flexifed.training.weights import ALIGNMENT, Layout, Weights


@dataclass(frozen=True)
class Cut:
    """A piece of a member's vector, and where its values lie in the vector of the largest version.

    Attributes:
        start: in the member's vector.
        stop: likewise.
        at: where the piece begins in the largest version; or the place of each of its values, int64.
        own: the values of the piece that exist, counted from `start`, int64, ascending; None for all.
    """

    start: int
    stop: int
    at: int | Tensor
    own: Tensor | None = None

    def on(self, device: torch.device) -> "Cut":
        """The same, with its indices on a device."""
        at, own = (one.to(device) if isinstance(one, Tensor) else one for one in (self.at, self.own))
        assert at is not None and not isinstance(own, int)
        return Cut(self.start, self.stop, at, own)


@dataclass(frozen=True)
class Lent:
    """A run of the largest version that a member lacks, and the run of its own vector that stands for it, if any."""

    start: int
    stop: int
    source: int | None


class Submodels:
    """The members of a federation whose clients hold parts of the family's largest version."""

    def __init__(
        self,
        plan: Plan,
        whole: tuple[Chain, Weights],
        members: Mapping[str, tuple[Chain, Layout]],
        normalisation: str,
        seed: int,
        masks: Mapping[str, Weights],
        device: torch.device,
    ) -> None:
        """Args:
        plan: whose groups have windows.
        whole: the largest version: its layers and its initial numbers.
        members: by tier, the layers and the layout of what its clients hold.
        normalisation: "averaged" with its layer, or "local": it stays with the client.
        seed: of the cell, for values drawn at random.
        masks: by tier, 1 where a value of the member exists and 0 where it does not; without it, all exist.
        device: where the server's parts are.
        """
        self.device = device
        self.plan, self.members, self.normalisation, self.seed, self.masks = plan, members, normalisation, seed, masks
        self.chain, self.initial = whole
        self.layout = self.initial.layout
        self.roll = any(group.window == "rolling" for group in plan.groups)
        self.groups = {
            tier: [group for group in plan.groups if group.window and self._client(tier) in group.clients]
            for tier in members
        }
        self.known: dict[tuple[str, int], tuple[Cut, ...]] = {}
        self.lends: dict[str, list[Lent]] = {}

    def _client(self, tier: str) -> int:
        return self.plan.versions.index(tier)

    @cached_property
    def _inputs(self) -> Mapping[str, int]:
        """By the name of a layer of the largest version, its features per channel of the layer before it."""
        found, before = {}, 0
        for layer in self.chain:
            shape = self.layout.slots[layer.weights[0]].shape
            many = shape[1] // before if before and len(shape) == 2 and shape[1] % before == 0 else 1
            found[layer.name], before = many, shape[0]
        return found

    def cuts(self, tier: str, step: int) -> tuple[Cut, ...]:
        """The pieces of a tier's member, in the order of its vector.

        Args:
            tier: whose clients' member.
            step: how many steps the server has taken, which windows that roll depend on.
        """
        key = (tier, step if self.roll else 0)
        if key not in self.known:
            if self.roll:
                self.known = {known: cuts for known, cuts in self.known.items() if known[1] == step}
            cuts = sorted(self._cuts(tier, step), key=lambda cut: cut.start)
            self.known[key] = tuple(cut.on(self.device) for cut in _joined(cuts))
        return self.known[key]

    def _cuts(self, tier: str, step: int) -> Iterator[Cut]:
        chain, layout = self.members[tier]
        by_name = {layer.name: layer for layer in self.chain}
        for group in self.groups[tier]:
            layer, whole = chain[self._depth(group, tier) - 1], by_name[group.layer]
            keys, of_whole = (averaged_keys(one, self.normalisation) for one in (layer, whole))
            for key, its_key in zip(keys, of_whole, strict=True):
                slot, place = layout.slots[key], self.layout.slots[its_key]
                shift = step if group.window == "rolling" else 0
                inside = window(slot.shape, place.shape, shift, self._inputs[group.layer])
                at = place.start if inside is None else place.start + inside
                yield self._existing(tier, key, Cut(slot.start, slot.start + slot.shape.numel(), at))

    def _depth(self, group: Average, tier: str) -> int:
        return group.depths[group.clients.index(self._client(tier))]

    def _existing(self, tier: str, key: str, cut: Cut) -> Cut:
        """The piece without the values that are masked."""
        if tier not in self.masks or key not in self.masks[tier].layout.slots:
            return cut
        own = self.masks[tier].values[cut.start : cut.stop].cpu().nonzero()[:, 0]
        if len(own) == cut.stop - cut.start:
            return cut
        at = cut.at + own if isinstance(cut.at, int) else cut.at[own]
        return Cut(cut.start, cut.stop, at, own)

    def lent(self, tier: str) -> list[Lent]:
        """What a tier's member lacks of the layers that others have: weights and biases, not running statistics.

        A layer is stood for by the layer before it in the member, where the two are of the same shape. For members that
        are shallower, and neither narrower nor sparse.
        """
        if tier not in self.lends:
            self.lends[tier] = list(self._lent(tier))
        return self.lends[tier]

    def _lent(self, tier: str) -> Iterator[Lent]:
        chain, layout = self.members[tier]
        lie = places(self.plan.family, self.plan.members[tier].version, layer_names(chain))
        signatures = {layer.name: layer.signature for layer in self.chain}
        has = {p: d for d, (p, one) in enumerate(zip(lie, chain, strict=True), 1) if one.signature == signatures[p]}
        buffers, before = set(self.layout.buffers), 0
        for layer in self.chain:
            before = has.get(layer.name, before)
            if layer.name in has or layer.name not in self._shared:
                continue
            twin = chain[before - 1] if before else None
            its_keys = averaged_keys(twin, self.normalisation) if twin else ()
            for number, key in enumerate(averaged_keys(layer, self.normalisation)):
                slot = self.layout.slots[key]
                run = (slot.start, slot.start + slot.shape.numel())
                if run not in buffers:
                    its_slot = layout.slots[its_keys[number]] if number < len(its_keys) else None
                    same = its_slot is not None and its_slot.shape == slot.shape
                    yield Lent(*run, its_slot.start if its_slot is not None and same else None)

    @cached_property
    def _shared(self) -> set[str]:
        """The layers of the largest version that some group has."""
        return {group.layer for group in self.plan.groups if group.window}

    def random(self, client: int, step: int) -> Tensor:
        """A whole vector, each tensor with the mean and the spread of its initial values, on the CPU."""
        generator = rng.torch_stream(self.seed, "fill", client, step)
        drawn = torch.zeros_like(self.initial.values)
        for slot in self.layout.slots.values():
            run = slice(slot.start, slot.start + slot.shape.numel())
            initial = self.initial.values[run]
            spread = initial.std(correction=0)
            drawn[run] = initial.mean() + spread * torch.randn(len(initial), generator=generator, dtype=initial.dtype)
        return drawn

    def start(self, tier: str, numbers: Weights) -> Weights:
        """A member's initial numbers: those of the largest version, where it has them; what is masked is zero."""
        if tier in self.masks:
            numbers.values.mul_(self.masks[tier].values.to(numbers.values))
        for cut in (cut.on(torch.device("cpu")) for cut in self.cuts(tier, 0)):
            run, n = numbers.values[cut.start : cut.stop], cut.stop - cut.start
            whole = self.initial.values
            values = whole[cut.at : cut.at + n] if isinstance(cut.at, int) else whole[cut.at]
            if cut.own is None:
                run.copy_(values)
            else:
                run[cut.own] = values
        return numbers


def window(shape: Sequence[int], whole: Sequence[int], shift: int, features: int = 1) -> Tensor | None:
    """Where the values of a narrower tensor lie in the whole one, int64 `[values]`; None where it is the whole one.

    Args:
        shape: of the narrower one.
        whole: of the whole one, at least as long in every dimension.
        shift: the first channel, in dimensions that are shorter; channels behind the last one are the first ones.
        features: along the second dimension, that belong to one channel of the layer before it.
    """
    if tuple(shape) == tuple(whole):
        return None
    found = torch.zeros((), dtype=torch.int64)
    for dimension, (n, total) in enumerate(zip(shape, whole, strict=True)):
        together = features if dimension == 1 else 1
        channels = (torch.arange(n // together) + shift * (n < total)) % (total // together)
        along = (channels[:, None] * together + torch.arange(together)).flatten()
        found = found[..., None] * total + along
    return found.flatten()


def _joined(cuts: Sequence[Cut]) -> Iterator[Cut]:
    """The pieces with those as one that only padding lies between: few large operations, not many small ones."""
    last: list[Cut] = []
    for cut in cuts:
        if last and cut.start - last[-1].stop >= ALIGNMENT:
            yield _one(last)
            last = []
        last.append(cut)
    if last:
        yield _one(last)


def _one(cuts: Sequence[Cut]) -> Cut:
    """Pieces that follow each other, as one; values that lie side by side in the largest version, too, as a run."""
    first, last = cuts[0], cuts[-1]
    moved = {cut.at - cut.start if isinstance(cut.at, int) and cut.own is None else None for cut in cuts}
    if len(cuts) == 1 or (len(moved) == 1 and None not in moved):
        return Cut(first.start, last.stop, first.at, first.own)
    own = torch.cat([cut.start - first.start + _own(cut) for cut in cuts])
    return Cut(first.start, last.stop, torch.cat([_at(cut) for cut in cuts]), own)


def _own(cut: Cut) -> Tensor:
    return torch.arange(cut.stop - cut.start) if cut.own is None else cut.own


def _at(cut: Cut) -> Tensor:
    return cut.at + torch.arange(cut.stop - cut.start) if isinstance(cut.at, int) else cut.at
