"""Names come from files; constants and options are read without importing."""

import re
import subprocess
import sys

import pytest

from flexifed.settings import registry
from flexifed.system.errors import UserError


@pytest.mark.parametrize("kind", registry.FOLDERS)
def test_every_name_loads(kind: str) -> None:
    assert registry.names(kind)
    for name in registry.names(kind):
        assert registry.load(kind, name).__name__.endswith(name)


def test_unknown_names_get_the_nearest_known_one() -> None:
    with pytest.raises(
        UserError, match=r"unknown strategy 'Max-Common'\. Did you mean 'max_common'\? Known: basic_common, "
    ):
        registry.check("strategy", "Max-Common")


def test_a_far_name_gets_no_guess() -> None:
    with pytest.raises(UserError, match=r"unknown family 'zzz'\. Known: charcnn, (\w+, )*vgg"):
        registry.check("family", "zzz")


def test_the_driver_reads_a_whole_study_without_torch() -> None:
    program = (
        "import sys; from flexifed.study import config; study = config.read('config/config.yaml');"
        "[study.protocol(c.protocol, c.dataset) for c in study.cells()];"
        "from flexifed.settings.job import Job; Job(study.cells()[0], study.protocol('official'), {}, 'serial').code();"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=registry.PACKAGE.parent)


def test_options_are_checked_against_the_signature() -> None:
    registry.check_options("family", "vgg", {"width": 1})  # a whole number is a valid float
    with pytest.raises(UserError, match="must be a number"):
        registry.check_options("family", "vgg", {"width": True})


@pytest.mark.parametrize("kind", registry.OPTIONS_OF)
def test_every_option_says_what_it_may_be_and_its_default_is_allowed(kind: str) -> None:
    for name in registry.names(kind):
        known = registry.keywords(kind, name)
        assert set(registry.allowed(kind, name)) == {key for key, value in known.items() if not isinstance(value, bool)}
        registry.check_options(kind, name, known)


@pytest.mark.parametrize(
    ("kind", "name", "options", "expected"),
    [
        ("family", "vgg", {"width": 0}, "width of family 'vgg' must be between 0.001 and 100, got 0"),
        (
            "family",
            "vgg",
            {"dropout": "befor"},
            "unknown dropout of family 'vgg' 'befor'. Did you mean 'before'?",
        ),
        ("dataset", "cinic10", {"train": "valid"}, "Known: train, train+valid"),
        ("partitioner", "dirichlet", {"alpha": float("nan")}, "must be between 1e-06 and 1e+06, got nan"),
        (
            "strategy",
            "elf",
            {"cuts": "depth_and_width", "fill": "previous_layer"},
            "`fill: previous_layer` goes with `cuts: depth` only, not with `depth_and_width`.",
        ),
        ("partitioner", "iid", {"parts": -1}, "parts of partitioner 'iid' must be 0 or more, got -1"),
    ],
)
def test_values_of_options_are_checked_before_any_job(
    kind: str, name: str, options: dict[str, object], expected: str
) -> None:
    with pytest.raises(UserError, match=re.escape(expected)):
        registry.check_options(kind, name, options)
