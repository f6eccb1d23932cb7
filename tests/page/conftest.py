"""The report of a made-up study, opened from disk in headless Chromium without a network."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from flexifed import report
from flexifed.figures import convergence, final_numbers, overview
from flexifed.settings.cell import Cell
from tests.unit.results import PROTOCOL, write_study, write_tables

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
STUDY = '<script>document.title = "taken over"</script><img src="https://example.org/x.png"> & co'
HOSTILE = 'a"><b onclick=x>&'
MEANS = {
    "standalone": 9.5,
    "clustered_fl": 70.0,
    "basic_common": 9.9,
    "clustered_common": 68.0,
    "max_common": 100.0,
    HOSTILE: 67.9,
}
"""Percent; as text they are ordered otherwise than as numbers."""
SEEDS = (1, 2, 10)


def cell(family: str, strategy: str, seed: int) -> Cell:
    return Cell("cifar10", family, strategy, "official", seed)


THERE = {
    cell("vgg", strategy, seed): {"V1": mean, "V2": mean - seed * number / 10}
    for number, (strategy, mean) in enumerate(MEANS.items())
    for seed in SEEDS
} | {cell("resnet", strategy, 1): {"V1": 50.0, "V2": 50.0} for strategy in ("standalone", "basic_common")}
MISSING = [cell("resnet", strategy, 1) for strategy in ("clustered_common", "max_common")]


@pytest.fixture(scope="session")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page: a block set beside the paper's, one of one seed with gaps, and more figures than are shown openly."""
    folder = tmp_path_factory.mktemp("page")
    expected = [*THERE, *MISSING]
    curves, runs = write_study(folder, THERE)
    write_tables(folder, expected, {"official": PROTOCOL}, folder / "tables")
    table1 = folder / "tables" / "table1.csv"
    final_numbers.write(table1, folder / "final_numbers")
    block = {"dataset": "cifar10", "family": "vgg", "protocol": "official"}
    convergence.write(curves, table1, folder / "curves", **block)
    drawn = [folder / "final_numbers.png", *(folder / f"convergence.cifar10.vgg.p{number}.svg" for number in range(7))]
    overview.write(curves, table1, folder / "overview")
    for number, path in enumerate(drawn[1:]):  # no two with the same content, which would be shown as one
        path.write_text(f"{(folder / 'curves.svg').read_text()}<!-- {number} -->")
    drawn.append(folder / "overview.png")
    sources = report.Sources(STUDY, folder / "tables", runs, drawn, expected, curves_file=curves)
    report.render(sources, folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium; without one, the tests are skipped."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser to open the page in: none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.fixture
def faults(report_file: Path) -> Iterator[list[str]]:
    """What a page says on its console and asks for; the test fails where anything but the file itself is left here."""
    faults: list[str] = []
    yield faults
    assert [fault for fault in faults if not fault.startswith(("data:", report_file.as_uri()))] == []


@pytest.fixture
def page(browser: Browser, report_file: Path, faults: list[str]) -> Iterator[Page]:
    """The page in a window of its own, without a network."""
    window = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    page = window.new_page()
    page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: faults.append(request.url))
    page.goto(report_file.as_uri())
    yield page
    window.close()
