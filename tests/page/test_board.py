"""The board in a browser: it fits a phone, and every verdict has its symbol."""

from pathlib import Path

from playwright.sync_api import Browser

from flexifed import generated
from flexifed.board import page as board
from flexifed.report.parts import BOARD_SYMBOLS, SYMBOLS


def test_the_board_fits_a_phone_and_asks_for_nothing(browser: Browser, tmp_path: Path) -> None:
    board.render(generated.REFERENCE, tmp_path / "board.html")
    window, asked = browser.new_context(offline=True, viewport={"width": 380, "height": 700}), list[str]()
    page = window.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: asked.append(message.text))
    page.goto((tmp_path / "board.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == 380
    assert asked == [(tmp_path / "board.html").as_uri()]
    verdicts = {text.split("\n")[0] for text in page.locator(".verdict").all_inner_texts()}
    symbols = {**{str(word): symbol for word, symbol in SYMBOLS.items()}, **BOARD_SYMBOLS}
    assert verdicts and verdicts <= {f"{symbol} {word}" for word, symbol in symbols.items()}
    window.close()
