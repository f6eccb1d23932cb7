"""The report in a browser: nothing leaves it, tables sort, links lead to run records, it fits a phone and paper."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page

from flexifed.analysis.typeset import BESIDE
from flexifed.report.parts import SYMBOLS
from tests.page.conftest import MISSING, SEEDS, STUDY


def column(table: Locator, number: int) -> list[str]:
    """The text of a column, by its number from 0."""
    return table.locator(f"tbody tr td:nth-child({number + 1})").all_inner_texts()


def heading(table: Locator, text: str) -> Locator:
    """The column heading with this text."""
    return table.locator("thead th").filter(has_text=text)


def groups(table: Locator) -> dict[str, list[list[str]]]:
    """Rows of Table 1 by strategy, with the rows beside them."""
    found: dict[str, list[list[str]]] = {}
    for row in table.locator("tbody tr").all():
        texts = row.locator("td").all_inner_texts()
        if texts[0] not in BESIDE:
            found[texts[0]] = []
        found[list(found)[-1]].append(texts)
    return found


@pytest.fixture
def table1(page: Page) -> Locator:
    """The block of Table 1 that is there."""
    return page.locator("#table-1 table").first


def test_a_hostile_name_is_text_and_the_script_is_ours(page: Page) -> None:
    assert page.locator("h1").inner_text() == STUDY
    assert page.title() == f"{STUDY}: report"
    assert page.locator("script").count() == 1
    assert page.locator("[onclick], img[src^=http]").count() == 0


def test_another_script_is_not_run(page: Page, faults: list[str]) -> None:
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'x = 1'}))")
    assert page.evaluate("typeof x") == "undefined"
    faults.clear()


def test_the_answer_comes_first(page: Page) -> None:
    text = page.locator("main").inner_text()
    assert text.startswith("In short")
    assert "Max-Common is highest, 99.1 ± 2.5 % (3 seeds)." in text
    assert "Of 6 published orderings, 4 hold, 1 is contradicted and 1 is not resolved." in text
    assert "Of 3 published orderings, 1 rests on one seed and 2 are missing." in text
    for link in page.locator("nav a").all():
        assert (
            page.locator(f"section[id='{(link.get_attribute('href') or '')[1:]}'] h2").inner_text() == link.inner_text()
        )


def test_verdicts_differ_in_word_symbol_and_colour(page: Page) -> None:
    style = (
        "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor, getComputedStyle(e).borderStyle].join()"
    )
    shown = {verdict.inner_text(): verdict.evaluate(style) for verdict in page.locator(".verdict").all()}
    assert set(shown) == {f"{symbol} {word}" for word, symbol in SYMBOLS.items()}
    assert len(set(shown.values())) == len(shown)


def test_numbers_sort_as_numbers_and_what_is_missing_comes_last(page: Page) -> None:
    table = page.locator("#when-and-how-accuracy-is-measured table")
    before = heading(table, "before")
    assert before.get_attribute("aria-sort") is None
    for direction, ordered in (("ascending", sorted), ("descending", lambda v: sorted(v, reverse=True))):
        before.get_by_role("button").click()
        texts = column(table, 3)
        numbers = [float(text) for text in texts if text != "missing"]
        assert before.get_attribute("aria-sort") == direction
        assert numbers == ordered(numbers)
        assert len(set(numbers)) > 3
        assert texts[len(numbers) :] == ["missing"] * len(MISSING)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1,015", "400.5 ± 0.3", "▼ -3.2", "–", "missing"], [1015, 400.5, -3.2, None, None]),
        (["+1.2 to +7.3", "0 in every seed", "not run"], [1.2, 0, None]),
        (["2026-01-02T00:00", "2026-01-01T00:00", "–"], ["2026-01-02T00:00", "2026-01-01T00:00", None]),
        (["26b6e02b", "12 classes"], ["26b6e02b", "12 classes"]),
    ],
)
def test_what_cells_are_sorted_by(page: Page, texts: list[str], expected: list[object]) -> None:
    assert page.evaluate("texts => keys(texts)", texts) == expected


def test_the_keyboard_sorts_too_and_only_one_heading_is_sorted_by(page: Page) -> None:
    table = page.locator("#when-and-how-accuracy-is-measured table")
    heading(table, "before").get_by_role("button").press("Enter")
    heading(table, "strategy").get_by_role("button").press("Space")
    strategies = column(table, 1)
    assert strategies == sorted(strategies, key=str.lower)
    assert table.locator("th[aria-sort]").all_inner_texts() == ["strategy"]


def test_runs_sort_by_seed_as_number(page: Page) -> None:
    runs = page.locator("#provenance table").nth(1)
    page.locator("#provenance summary").click()
    heading(runs, "cell").get_by_role("button").click()
    seeds = [int(cell.rpartition("seed")[2]) for cell in column(runs, 0) if "max_common" in cell]
    assert seeds == list(SEEDS)


def test_the_paper_stays_below_the_strategy_it_is_about(table1: Locator) -> None:
    before = groups(table1)
    assert [row[0] for row in before["Max-Common"]] == ["Max-Common", "paper", "delta"]
    heading(table1, "mean").get_by_role("button").click()
    after = groups(table1)
    assert after == before
    assert (next(iter(after)), list(after)[-1]) == ("Standalone", "Max-Common")
    assert list(after) != list(before)


def test_a_line_of_table_1_leads_to_its_run_records(page: Page, table1: Locator) -> None:
    record = page.locator("tr[id='run/cifar10/vgg/max_common/official/seed10']")
    assert not record.is_visible()
    line = table1.locator("tr").filter(has_text="Max-Common")
    assert line.get_by_role("link").all_inner_texts() == [str(seed) for seed in SEEDS]
    line.get_by_role("link", name="10").click()
    record.wait_for(state="visible")
    assert record.evaluate("e => { const b = e.getBoundingClientRect(); return b.top >= 0 && b.bottom <= innerHeight }")
    for text in ("0123456789ab", "c0de", "a device", "cells/cifar10/vgg/max_common/official/seed10/run.json"):
        assert text in record.inner_text()


def test_every_link_leads_somewhere_and_names_are_unique(page: Page) -> None:
    names = page.locator("[id]").evaluate_all("all => all.map(e => e.id)")
    targets = page.locator("a").evaluate_all("all => all.map(e => e.getAttribute('href'))")
    assert len(set(names)) == len(names)
    assert {target[1:] for target in targets} <= set(names)
    assert all(target.startswith("#") for target in targets)


def test_figures_have_a_text_and_many_are_folded(page: Page) -> None:
    figures = page.locator("figure")
    assert figures.count() == 9
    for image in figures.locator("img").all():
        assert len(image.get_attribute("alt") or "") > 40
    assert page.locator("#final-numbers img").is_visible()
    assert page.locator("#convergence details").count() == 7
    assert not page.locator("#convergence img").first.is_visible()
    page.locator("#convergence summary").first.click()
    assert page.locator("#convergence img").first.evaluate("e => e.decode().then(() => e.naturalWidth)") > 100


def test_the_first_screen_of_a_laptop_has_the_answer(page: Page) -> None:
    """Who is highest, every strategy on a scale, and what became of each ordering: without scrolling."""
    page.set_viewport_size({"width": 1200, "height": 850})
    card = page.locator(".card").first
    box = card.bounding_box()
    assert box and box["y"] + box["height"] <= 850
    assert card.locator(".lead").inner_text() == "Max-Common is highest, 99.1 ± 2.5 % (3 seeds)."
    values = [float(text.split()[0]) for text in card.locator(".dots b").all_inner_texts()]
    assert len(values) == 6 and values == sorted(values, reverse=True)
    places = [float(dot.get_attribute("x1") or "") for dot in card.locator(".dots .mean").all()]
    assert places == sorted(places, reverse=True) and len(set(places)) > 3
    assert card.locator(".chips li").count() == 6
    assert "✗ Clustered-Common over Clustered-FL contradicted" in card.locator(".chips").inner_text().replace("\n", " ")


@pytest.fixture
def curves(page: Page) -> Locator:
    """The first block's curves, in view."""
    page.locator(".curves").first.scroll_into_view_if_needed()
    return page.locator(".curves").first


def hover(page: Page, curves: Locator, share: float) -> None:
    """Point at a place between the left (0) and the right edge (1) of the curves."""
    box = curves.locator("svg").bounding_box()
    assert box
    page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.5 * box["height"])


def test_curves_show_the_values_of_the_round_that_is_pointed_at(page: Page, curves: Locator) -> None:
    assert not curves.locator(".values").is_visible()
    hover(page, curves, 0.95)
    told = curves.locator(".values").inner_text().split("\n")
    assert told[0] == "round 2"
    assert told[1] == "Max-Common" and told[2].startswith("99.1 (")
    hover(page, curves, 0.1)
    assert curves.locator(".values").inner_text().startswith("round 1\n")
    page.mouse.move(0, 0)
    assert not curves.locator(".values").is_visible()


def test_curves_can_be_hidden_and_read_by_keyboard(page: Page, curves: Locator) -> None:
    lines = curves.locator(".line")
    assert lines.count() == len(curves.locator(".legend button[aria-pressed]").all()) == 6
    curves.get_by_role("button", name="Standalone").click()
    assert lines.count() == 5
    assert curves.get_by_role("button", name="Standalone").get_attribute("aria-pressed") == "false"
    drawing = curves.locator("svg")
    drawing.focus()
    drawing.press("ArrowRight")
    assert curves.locator(".values").inner_text().startswith("round 1\n")
    drawing.press("ArrowRight")
    assert curves.locator(".values").inner_text().startswith("round 2\n")


def test_what_is_dragged_across_fills_the_panel(page: Page) -> None:
    """On curves of more rounds than those of the study, drawn by the page's script."""
    page.evaluate(
        """() => {
            const values = [...Array(11).keys()], box = document.createElement("div"), lines = [
                { name: "a", colour: 0, mean: values, low: null, high: null },
                { name: "b", colour: 1, mean: values.map(v => (v === 3 ? null : 2 * v)), low: null, high: null }];
            box.className = "curves";
            box.id = "longer";
            box.dataset.curves = JSON.stringify({ title: "t", note: "n", rounds: values.map(v => 10 * v), lines });
            document.querySelector("main").prepend(box);
            scrollTo(0, 0);
            new Panel(box);
        }"""
    )
    longer = page.locator("#longer")
    lines = longer.locator(".line")

    def n_points() -> list[int]:
        return [len((line.get_attribute("points") or "").split()) for line in lines.all()]

    longer.locator("svg").wait_for()
    page.wait_for_function("document.querySelectorAll('#longer .line').length === 2")
    assert n_points() == [11, 10]
    hover(page, longer, 0.5)
    page.mouse.down()
    hover(page, longer, 0.8)
    assert longer.locator(".chosen").count() == 1
    page.mouse.up()
    assert n_points() == [3, 3]
    hover(page, longer, 0.5)
    assert longer.locator(".values").inner_text().startswith("round 60\n")
    longer.get_by_role("button", name="Whole range").click()
    assert n_points() == [11, 10]
    longer.locator("svg").press("+")
    assert n_points()[0] < 11
    longer.locator("svg").press("Escape")
    assert n_points() == [11, 10]


def test_headings_are_nested(page: Page) -> None:
    levels = [int(tag[1]) for tag in page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(e => e.tagName)")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def sticking_out(page: Page, within: str = ":not(*)") -> Sequence[str]:
    """Elements that reach beyond the window's right edge, but for those within a box that scrolls."""
    script = """within => [...document.querySelectorAll("body *")]
        .filter(e => !e.closest(within) && e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.outerHTML.slice(0, 99))"""
    found: Sequence[str] = page.evaluate(script, within)
    return found


def open_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(fold => (fold.open = true))")


def test_a_phone_scrolls_down_only(page: Page) -> None:
    page.set_viewport_size({"width": 375, "height": 700})
    page.reload()
    assert not page.locator("nav ul").is_visible()
    open_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    assert sticking_out(page, "figure .scroll *") == []


def test_a_phone_shows_rows_as_lists_with_the_headings(page: Page, table1: Locator) -> None:
    page.set_viewport_size({"width": 375, "height": 700})
    assert not table1.locator("thead").is_visible()
    second = table1.locator("td").nth(1)
    assert second.evaluate("e => getComputedStyle(e, '::before').content") == '"VGG-11"'
    first, next_ = (table1.locator("td").nth(n).bounding_box() for n in (0, 1))
    assert first and next_ and first["y"] + first["height"] <= next_["y"]


def test_all_orderings_fit_a_laptop(page: Page) -> None:
    page.set_viewport_size({"width": 1200, "height": 900})
    assert page.locator("#the-answer thead th").count() == 7
    assert page.locator("#the-answer .scroll").evaluate("e => e.scrollWidth <= e.clientWidth")


def test_a_dark_screen_stays_dark_and_paper_stays_white(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    figure = page.locator("#final-numbers img")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) == "rgb(25, 25, 25)"
    assert "invert" in figure.evaluate("e => getComputedStyle(e).filter")
    page.emulate_media(color_scheme="dark", media="print")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    assert figure.evaluate("e => getComputedStyle(e).filter") == "none"


def test_paper_cuts_nothing(page: Page) -> None:
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 688, "height": 1000})  # A4 less its margins, at 96 pixels per inch
    assert sticking_out(page, ".wide *") == []
    page.set_viewport_size({"width": 1016, "height": 700})  # wide tables are on landscape pages
    assert sticking_out(page) == []
    assert page.locator("#provenance table").nth(1).is_visible()
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF-")


def test_paper_ends_with_a_table_and_its_notes(page: Page) -> None:
    """What stands on paper of another shape begins a page; notes alone would be an all but empty one."""
    page.emulate_media(media="print")
    last = page.locator("main .note").last
    assert last.evaluate("e => getComputedStyle(e.parentElement).page") == "wide"


def test_without_its_script_the_page_is_whole(browser: Browser, report_file: Path) -> None:
    window = browser.new_context(java_script_enabled=False, offline=True)
    page = window.new_page()
    page.goto(report_file.as_uri())
    assert page.get_by_role("button").count() == 0
    assert str(MISSING[0]) in page.locator("#what-is-missing").inner_text()
    page.locator("#table-1 a").first.click()
    page.locator("#provenance table").nth(1).wait_for(state="visible")
    window.close()
