"""Versions and members of families as people read them."""

from flexifed.settings import registry
from flexifed.sharing.regions import Member


def version_title(family: str, version: str) -> str:
    """Title of a family's version: V1 of `vgg` is VGG-11. What is not a version (`mean`) is its own title."""
    versions = registry.constant("family", family, "VERSIONS")
    titles: dict[str, str] = dict(zip(versions, registry.constant("family", family, "TITLES"), strict=True))
    return titles.get(version, version)


def member_title(family: str, member: Member) -> str:
    """Title of a member: ResNet-32 at width 0.5, or 64 % of ResNet-32's values."""
    title = version_title(family, member.version)
    narrower = f" at width {member.width:g}" if member.width < 1 else ""
    return f"{title}{narrower}" + (
        f", {1 - member.sparsity:.0%} of its values".replace("%", " %") if member.sparsity else ""
    )
