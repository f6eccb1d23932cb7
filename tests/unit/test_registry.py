"""Names come from files; constants and options are read without importing."""

import subprocess
import sys

import pytest

from flexifed import registry
from flexifed.errors import UserError


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
    with pytest.raises(UserError, match=r"unknown family 'zzz'\. Known: charcnn, resnet, vdcnn, vgg\."):
        registry.check("family", "zzz")


def test_the_driver_reads_a_whole_study_without_torch() -> None:
    program = (
        "import sys; from flexifed import config; study = config.read('config/config.yaml');"
        "[study.protocol(c.protocol, c.dataset) for c in study.cells()];"
        "from flexifed.job import Job; Job(study.cells()[0], study.protocol('official'), {}, 'serial').code();"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=registry.PACKAGE.parent)


def test_options_are_checked_against_the_signature() -> None:
    registry.check_options("family", "vgg", "build", {"width": 1})  # a whole number is a valid float
    with pytest.raises(UserError, match="must be of type float"):
        registry.check_options("family", "vgg", "build", {"width": True})
