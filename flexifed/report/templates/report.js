"use strict";

// Tables sort by a column. Without this script the headings are plain text and everything is there.

const NUMBER = /^[^\w+\-−]*([+\-−]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)(?![\w.:\-])/;

/** The number that a cell begins with ("▲ +3.2 ± 0.4" is 3.2), or null. */
function number(text) {
  const found = NUMBER.exec(text);
  return found && Number(found[1].replaceAll(",", "").replace("−", "-"));
}

/** What cells are compared by: numbers where each is one or has no digit ("–", "missing"), else text; null sorts last. */
function keys(texts) {
  const numbers = texts.map(number);
  const numeric = numbers.some((n) => n !== null) && texts.every((t, i) => numbers[i] !== null || !/\d/.test(t));
  return numeric ? numbers : texts.map((text) => (/^[–\s]*(missing)?$/.test(text) ? null : text));
}

function compare(a, b) {
  return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
}

/** Sorts the rows; in a grouped table those beside a row stay below it. */
function sort(heading) {
  const table = heading.closest("table");
  const units = [...(table.matches(".grouped") ? table.tBodies : table.tBodies[0].rows)];
  const texts = units.map((unit) => (unit.rows?.[0] ?? unit).cells[heading.cellIndex].textContent.trim());
  const sign = heading.ariaSort === "ascending" ? -1 : 1;
  const by = new Map(keys(texts).map((key, index) => [units[index], key]));
  units.sort((a, b) => {
    const [x, y] = [by.get(a), by.get(b)];
    return x === null || y === null ? (x === null) - (y === null) : sign * compare(x, y);
  });
  units.forEach((unit) => unit.parentNode.append(unit));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.ariaSort = sign === 1 ? "ascending" : "descending";
}

for (const heading of document.querySelectorAll("thead th")) {
  const button = document.createElement("button");
  button.append(...heading.childNodes);
  button.addEventListener("click", () => sort(heading));
  heading.append(button);
}

// A link to what is folded opens it, also in browsers that do not do so by themselves.

function reveal() {
  const target = document.getElementById(location.hash.slice(1));
  const folds = [];
  for (let fold = target?.closest("details"); fold; fold = fold.parentElement.closest("details")) folds.push(fold);
  if (!folds.some((fold) => !fold.open)) return;
  folds.forEach((fold) => (fold.open = true));
  target.scrollIntoView();
}

addEventListener("hashchange", reveal);
reveal();

// On a phone the contents are folded.
if (matchMedia("(max-width: 40rem)").matches) document.querySelector("nav details").open = false;
