// Curves that show their values where one points, and what one drags across. Without this script they are pictures.

const HEIGHT = 300, LEFT = 52, RIGHT = 12, TOP = 8, BOTTOM = 36;
const SVG = "http://www.w3.org/2000/svg";

function element(parent, name, attributes = {}, text = "") {
  const made = parent.namespaceURI === SVG || name === "svg" ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return parent.appendChild(made);
}

/** Round numbers from `low` to `high`, about `n` of them, at least `least` apart. */
function ticks(low, high, n, least) {
  const rough = Math.max((high - low) / n, least), power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) found.push(value);
  return found.map((value) => Number(value.toPrecision(12)));
}

/** One panel: lines and bands, a legend that hides and shows them, values at the round that is pointed at, and a zoom. */
class Panel {
  constructor(box) {
    Object.assign(this, { box, data: JSON.parse(box.dataset.curves), hidden: new Set(), at: null, from: null });
    this.whole();
    element(box, "h3", {}, this.data.title);
    this.legend();
    this.svg = element(box, "svg", { tabindex: 0, role: "application", "aria-label": this.label() });
    element(box, "p", { class: "note" }, this.data.note);
    this.values = element(box, "div", { class: "values", hidden: "", "aria-live": "polite" });
    this.listen();
    new ResizeObserver(() => this.draw()).observe(box);
  }

  label() {
    return `${this.data.title}: ${this.data.quantity} in percent by round. Left and right show values, plus and minus zoom, Escape shows all.`;
  }

  legend() {
    const legend = element(this.box, "div", { class: "legend" });
    this.data.lines.forEach((line, number) => {
      const button = element(legend, "button", { type: "button", class: `c${line.colour}`, "aria-pressed": true }, line.name);
      button.addEventListener("click", () => {
        this.hidden[this.hidden.has(number) ? "delete" : "add"](number);
        button.ariaPressed = !this.hidden.has(number);
        this.draw();
      });
    });
    const all = element(legend, "button", { type: "button", class: "whole" }, "Whole range");
    all.addEventListener("click", () => this.zoom(...this.ends()));
  }

  listen() {
    this.svg.addEventListener("pointerdown", (event) => {
      this.from = this.round(event);
      this.point(event);
    });
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.leave());
    this.svg.addEventListener("pointercancel", () => this.leave());
    this.svg.addEventListener("pointerup", (event) => {
      const [from, to] = [this.from, this.round(event)].sort((a, b) => a - b);
      const moved = this.from !== null && to - from >= 2 * this.smallest();
      this.from = null;
      if (moved) this.zoom(from, to);
      else this.draw();
    });
    this.svg.addEventListener("dblclick", () => this.zoom(...this.ends()));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    this.svg.addEventListener("blur", () => this.leave());
  }

  key(event) {
    const shown = this.shown(), here = shown.indexOf(this.at), middle = this.data.rounds[this.at] ?? (this.low + this.high) / 2;
    const actions = {
      ArrowLeft: () => (this.at = shown[Math.max(0, here < 0 ? shown.length - 1 : here - 1)]),
      ArrowRight: () => (this.at = shown[Math.min(shown.length - 1, here + 1)]),
      "+": () => this.around(middle, 0.5),
      "-": () => this.around(middle, 2),
      Escape: () => this.whole(),
    };
    if (!(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
    this.draw();
  }

  around(middle, factor) {
    const half = (factor * (this.high - this.low)) / 2;
    if (half >= this.smallest()) this.zoom(middle - half, middle + half);
  }

  ends() {
    return [this.data.rounds[0], this.data.rounds.at(-1)];
  }

  whole() {
    [this.low, this.high] = this.ends();
  }

  smallest() {
    const [first, last] = this.ends();
    return (last - first) / Math.max(1, this.data.rounds.length - 1);
  }

  zoom(low, high) {
    const [first, last] = this.ends();
    [this.low, this.high] = [Math.max(first, low), Math.min(last, high)];
    if (!this.shown().includes(this.at)) this.at = null;
    this.draw();
  }

  /** Places of the rounds that are in view. */
  shown() {
    return [...this.data.rounds.keys()].filter((i) => this.data.rounds[i] >= this.low && this.data.rounds[i] <= this.high);
  }

  round(event) {
    const box = this.svg.getBoundingClientRect();
    const share = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
    return this.low + Math.min(1, Math.max(0, share)) * (this.high - this.low);
  }

  point(event) {
    const round = this.round(event), distance = (i) => Math.abs(this.data.rounds[i] - round);
    this.at = this.shown().reduce((best, i) => (best === null || distance(i) < distance(best) ? i : best), null);
    this.draw(this.from === null ? null : round);
  }

  leave() {
    [this.at, this.from] = [null, null];
    this.draw();
  }

  visible() {
    return this.data.lines.filter((_, number) => !this.hidden.has(number));
  }

  /** Everything anew; `to` is where a drag has come to. */
  draw(to = null) {
    const width = this.box.clientWidth, shown = this.shown();
    const inView = this.visible().flatMap((line) => shown.flatMap((i) => [line.mean[i], line.low?.[i], line.high?.[i]]));
    const values = inView.filter((value) => value !== null && value !== undefined);
    const [least, most] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 100];
    const pad = Math.max(0.5, (most - least) * 0.05), [bottom, top] = [Math.max(0, least - pad), Math.min(100, most + pad)];
    const x = (round) => LEFT + ((round - this.low) / (this.high - this.low || 1)) * (width - LEFT - RIGHT);
    const y = (value) => HEIGHT - BOTTOM - ((value - bottom) / (top - bottom)) * (HEIGHT - TOP - BOTTOM);
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.axes(x, y, bottom, top, width);
    for (const line of this.visible()) this.line(line, shown, x, y);
    if (to !== null) {
      const [a, b] = [x(this.from), x(to)].sort((one, other) => one - other);
      element(this.svg, "rect", { class: "chosen", x: a, y: TOP, width: b - a, height: HEIGHT - TOP - BOTTOM });
    }
    this.tell(x, y, width);
  }

  axes(x, y, bottom, top, width) {
    for (const value of ticks(bottom, top, 5, 0.1)) {
      element(this.svg, "line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) });
      element(this.svg, "text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, `${value} %`);
    }
    for (const round of ticks(this.low, this.high, width / 90, 1)) {
      element(this.svg, "text", { x: x(round), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, round);
    }
    element(this.svg, "text", { x: width - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, "communication round");
  }

  line(line, shown, x, y) {
    const there = shown.filter((i) => line.mean[i] !== null);
    const path = (places, of) => places.map((i) => `${x(this.data.rounds[i])},${y(of[i])}`).join(" ");
    if (line.low) {
      const edge = there.filter((i) => line.low[i] !== null && line.high[i] !== null);
      element(this.svg, "polygon", { class: `band c${line.colour}`, points: `${path(edge, line.low)} ${path(edge.toReversed(), line.high)}` });
    }
    element(this.svg, "polyline", { class: `line c${line.colour}`, points: path(there, line.mean) });
    if (there.length === 1) this.dot(line, there[0], x, y);
  }

  dot(line, i, x, y) {
    element(this.svg, "circle", { class: `c${line.colour}`, cx: x(this.data.rounds[i]), cy: y(line.mean[i]), r: 4 });
  }

  /** The values at the round that is pointed at, highest first. */
  tell(x, y, width) {
    this.values.hidden = this.at === null;
    if (this.at === null) return;
    const there = this.visible().filter((line) => line.mean[this.at] !== null).sort((a, b) => b.mean[this.at] - a.mean[this.at]);
    const place = x(this.data.rounds[this.at]);
    element(this.svg, "line", { class: "here", x1: place, x2: place, y1: TOP, y2: HEIGHT - BOTTOM });
    for (const line of there) this.dot(line, this.at, x, y);
    this.values.replaceChildren();
    element(this.values, "div", {}, `round ${this.data.rounds[this.at]}`);
    for (const line of there) {
      const row = element(this.values, "div", { class: `c${line.colour}` });
      element(row, "span", {}, line.name);
      const half = line.high?.[this.at] == null ? "" : ` (${line.low[this.at].toFixed(1)} to ${line.high[this.at].toFixed(1)})`;
      element(row, "b", {}, `${line.mean[this.at].toFixed(1)}${half}`);
    }
    const beside = place + 12 + this.values.offsetWidth > width ? place - 12 - this.values.offsetWidth : place + 12;
    this.values.style.left = `${Math.max(0, beside)}px`;
    this.values.style.top = `${this.svg.getBoundingClientRect().top - this.box.getBoundingClientRect().top + TOP}px`;
  }
}

for (const box of document.querySelectorAll(".curves")) new Panel(box);
