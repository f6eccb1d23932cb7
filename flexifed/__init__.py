"""FlexiFed (Wang et al., WWW 2023) as data, plans and cells: a Snakemake pipeline, and this surface for notebooks.

`flexifed.results`, `runs` and `draw` read a study's folder; `run_cell` resolves and runs one cell, with another
strategy if wanted; `load_model` and `tested_on` give a kept model back. `docs/tutorial.ipynb` shows them. Each is
imported when it is first used, so `import flexifed` takes no time. To read the code, start at `training/federation.py`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flexifed.surface import draw as draw
    from flexifed.surface import results as results
    from flexifed.surface import run_cell as run_cell
    from flexifed.surface import runs as runs
    from flexifed.training.modelfiles import load_model as load_model
    from flexifed.training.modelfiles import tested_on as tested_on

_PLACES = {
    **dict.fromkeys(("draw", "results", "run_cell", "runs"), "flexifed.surface"),
    **dict.fromkeys(("load_model", "tested_on"), "flexifed.training.modelfiles"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'flexifed' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_PLACES]
