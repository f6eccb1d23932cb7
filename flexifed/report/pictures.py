"""Figures as data URIs, and the sections that are nothing but figures."""

import base64
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flexifed.analysis import metrics
from flexifed.analysis.titles import title
from flexifed.report import curves
from flexifed.report.parts import Picture, Section, Sources

CAPTIONS = {
    "effects": "What each change does to the final number of each strategy. Bars: 95 % Student t interval over seeds. "
    "Filled markers: the interval leaves zero out. Ticks: the sum of the effects that a pair combines.",
    "sweep": "Final {metric}, mean over versions, with its 95 % Student t interval over seeds, a line per strategy. "
    "The strategies of one value stand side by side.",
    "overview": "{Metric} right after aggregation, in eval(), against communication rounds: mean over versions. One "
    "panel per block of the study, one line per strategy, as in the paper's Figure 4; what the band is stands under "
    "the panels.",
    "loss": "Mean training loss of a round's participants against communication rounds: mean over versions. One panel "
    "per block of the study, one line per strategy.",
    "errors": "Ours minus the published number, mean over versions, by block and strategy: a row of panels per "
    "protocol, a column per source. Bold: the published number is outside our 95 % interval over seeds. Frame: the "
    "source that the protocol is meant to reproduce. Grey: not compared.",
    "final_numbers": "Mean over versions of every line of Table 1 with its 95 % interval over seeds. Hollow diamonds: "
    "the paper's numbers, only where setting and data allow the comparison.",
    "costs": "{Metric} right after aggregation, in eval(), against the megabytes that a client has sent and received, "
    "mean over versions and seeds. Dashed: strategies that send nothing, at their final number. Dots: the target.",
    "convergence": "{Metric} right after aggregation, in eval(), against communication rounds. One panel per version, "
    "one line per strategy; what the band is stands under the panels. Hollow triangles at the right: the paper's "
    "numbers, only where setting and data allow the comparison.",
    "convergence_seconds": "{Metric} right after aggregation, in eval(), against simulated time. One panel per "
    "version, one line per strategy, up to the end of its shortest run; what the band is stands under the panels.",
    "class_mix": "Samples of each client by class, training set on the left and test set on the right.",
    "sharing": "Who averages which layer with whom. Rows are clients, columns are layers from input to output; cells "
    "of one colour in a column are averaged together, grey is kept personal, blank is what the version does not have.",
    "budgets": "What each tier of clients can afford, and what its member of the family takes: a line at the budget, "
    "and a mark for each way to make members smaller, as shares of what the largest version takes. A way that leaves a "
    "tier without a member has no marks.",
}
"""What a kind of figure shows, of the study's metric; a figure's file is `{kind}.{what}.svg` or `.png`."""

HEADINGS = {
    "effects": "What each factor does",
    "sweep": "Final numbers by value",
    "overview": "Convergence at a glance",
    "loss": "Training loss",
    "errors": "Beside the published numbers",
    "final_numbers": "Final numbers",
    "costs": "Costs",
    "convergence": "Convergence",
    "convergence_seconds": "Time on devices",
    "class_mix": "Class mix of the clients",
    "sharing": "Who shares which layer",
    "budgets": "What each tier can afford",
}


def _gallery(sources: Sources, kind: str) -> Section:
    return Section(HEADINGS[kind], of_kind(sources, kind), caption(sources, kind))


def caption(sources: Sources, kind: str) -> str:
    """What a kind of figure shows in this study."""
    return CAPTIONS[kind].format(metric=sources.metric, Metric=metrics.capital(sources.metric))


def overview(sources: Sources) -> Section:
    """The convergence of a study, where its blocks fit into one figure: curves to look into, and the figure."""
    pictures = of_kind(sources, "overview")
    drawn = [*curves.panels(sources)] if pictures else []
    if drawn:
        pictures = [replace(picture, caption="The same as a picture, for paper", folded=True) for picture in pictures]
    return Section(HEADINGS["overview"], [*drawn, *pictures], caption(sources, "overview"))


def final_numbers(sources: Sources) -> Section:
    """Table 1 as a figure."""
    return _gallery(sources, "final_numbers")


def convergence(sources: Sources) -> Section:
    """A figure per block."""
    return _gallery(sources, "convergence")


def loss(sources: Sources) -> Section:
    """The training loss of a study in one figure, where its blocks fit into one."""
    return _gallery(sources, "loss")


def class_mix(sources: Sources) -> Section:
    """A figure per partition."""
    return _gallery(sources, "class_mix")


def sharing(sources: Sources) -> Section:
    """A figure per family and protocol."""
    return _gallery(sources, "sharing")


def budgets(sources: Sources) -> Section:
    """A figure per data set, family and protocol with budgets."""
    return _gallery(sources, "budgets")


def of_kind(sources: Sources, kind: str) -> list[Picture]:
    """The figures of a kind. Files with the same content are one figure: many protocols have the same plans."""
    titles: dict[str, list[str]] = {}
    for path in sources.figures:
        if path.name.split(".")[0] == kind:
            titles.setdefault(_uri(path), []).append(figure_title(*_named(path)))
    what = caption(sources, kind)
    captions = {uri: "; ".join(names) for uri, names in titles.items()}
    return [Picture(names, f"{names}. {what}", uri) for uri, names in captions.items()]


def _uri(path: Path) -> str:
    kind_of_image = {".svg": "svg+xml", ".png": "png"}[path.suffix]
    return f"data:image/{kind_of_image};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _named(path: Path) -> tuple[str, list[str]]:
    """The kind and what it is of, from a figure's file name."""
    kind, *what = path.stem.split(".")
    return kind, what


def figure_title(kind: str, what: Sequence[str]) -> str:
    """Title from the parts of a figure's file name, e.g. `convergence`, [`cifar10`, `vgg`, `official`]."""
    if not what:
        return HEADINGS[kind]
    names, last = [title(name) for name in what[:-1]], what[-1]
    if kind == "class_mix":
        return f"{title(what[0])}, protocol {what[1]}, {last.replace('seed', 'seed ')}"
    return f"{', '.join(names)}, protocol {last}"
