"""The site of docs/: it builds without a broken link, and in a browser it asks for nothing from elsewhere."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser

from flexifed.settings import registry

pytest.importorskip("material", reason="the site needs mkdocs-material, which `make setup` installs")

ROOT = registry.PACKAGE.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make site` builds it: a link that leads nowhere is a failure."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=site)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_pages_outside_docs_are_there_with_their_figures(site: Path) -> None:
    for page in ("index", "commands", "systems/fedavg", "repository/config/index", "repository/CHANGELOG"):
        assert len((site / f"{page}.html").read_text()) > 5000, page
    assert (site / "repository/results/reference/bench-cpu/bench.png").exists()
    assert "results/reference/local-cpu/figures/sharing.vgg.images.png" in (site / "repository/index.html").read_text()


@pytest.mark.parametrize("width", [1200, 380])
@pytest.mark.parametrize("name", ["index", "reading", "systems/fedavg", "repository/config/index"])
def test_a_page_stays_by_itself_and_within_the_window(address: str, browser: Browser, name: str, width: int) -> None:
    window = browser.new_context(viewport={"width": width, "height": 850})
    page = window.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: faults.append(request.url))
    page.goto(f"{address}/{name}.html", wait_until="networkidle")
    assert page.locator("h1").first.is_visible()
    assert [fault for fault in faults if not fault.startswith((address, "data:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    window.close()
