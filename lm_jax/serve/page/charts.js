// Colours and drawings; nothing here asks the server.

export const MODEL_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]; // Okabe & Ito
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const SVG = "http://www.w3.org/2000/svg";
const MOST_NATS = 8, DECADES = 4;

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// One hue, from clear to full: it is read without colour vision too.
export const tint = (name, strength) => `rgba(var(--${name}), ${Math.max(0, Math.min(1, strength)).toFixed(3)})`;
export const surprise = (logProb) => tint("surprise", (logProb === null ? MOST_NATS : -logProb) / MOST_NATS * 0.85);
export const share = (log10) => tint("left", log10 === null ? 0 : (log10 + DECADES) / DECADES * 0.85);
export const percent = (p) => `${p >= 0.0995 ? (100 * p).toFixed(0) : p >= 0.00095 ? (100 * p).toFixed(1) : p >= 1e-5 ? +(100 * p).toPrecision(1) : p > 0 ? (100 * p).toExponential(0) : 0} %`;

// White space and control codes as signs that can be seen.
export function visible(text) {
  return text.replace(/ /g, "␣").replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/[\u0000-\u001f\u007f-\u009f]/g, "�") || "∅";
}

function viridis(part) {
  const place = Math.max(0, Math.min(1, part)) * (VIRIDIS.length - 1), low = Math.min(VIRIDIS.length - 2, Math.floor(place));
  return VIRIDIS[low].map((value, i) => Math.round(value + (VIRIDIS[low + 1][i] - value) * (place - low)));
}

// rows: numbers from 0 to 1, each row of its own length. chosen: a row that is marked at its end.
export function drawMap(canvas, rows, width, chosen) {
  canvas.width = width + 2;
  canvas.height = rows.length;
  canvas.style.aspectRatio = `${width + 2} / ${rows.length}`;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  const image = context.createImageData(canvas.width, canvas.height);
  rows.forEach((row, i) => {
    row.forEach((value, j) => image.data.set([...viridis(value), 255], 4 * (i * canvas.width + j)));
    if (i === chosen) for (const j of [width, width + 1]) image.data.set([213, 94, 0, 255], 4 * (i * canvas.width + j));
  });
  context.putImageData(image, 0, 0);
}

// The same with a name beside each row and above each column, for a map that has room for them. names: of rows, and of
// columns. Returns what marks a row.
export function drawCells(place, rows, names, onChoose) {
  const labels = Object.fromEntries(Object.entries(names).map(([side, texts]) => [side, texts.map((text) => [...text].length > 20 ? `${[...text].slice(0, 19).join("")}…` : text)]));
  const cell = 20, long = labels.columns.some((label) => label.length > 2), room = (names) => 10 + 7.5 * Math.max(...names.map((name) => name.length));
  const left = room(labels.rows), top = long ? room(labels.columns) : 24, width = left + cell * labels.columns.length + 4, height = top + cell * rows.length + 4;
  const picture = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Map: a row for each answer, a column for each token that it may rest on" });
  picture.style.width = `${width / 16}rem`; // as large as the letters: it is scrolled, not shrunk
  labels.columns.forEach((label, j) => {
    const x = left + cell * (j + 0.5);
    picture.append(shape("text", long ? { class: "column", transform: `translate(${x + 4} ${top - 5}) rotate(-90)` } : { class: "column", x, y: top - 7, "text-anchor": "middle" }, label));
  });
  rows.forEach((row, i) => {
    picture.append(shape("text", { class: "row", x: left - 6, y: top + cell * i + 14, "text-anchor": "end", "data-row": i }, labels.rows[i]));
    row.forEach((value, j) => picture.append(shape("rect", { class: "cell", x: left + cell * j, y: top + cell * i, width: cell, height: cell, fill: `rgb(${viridis(value)})`, "data-row": i })));
  });
  const frame = shape("rect", { class: "frame", x: left, width: cell * labels.columns.length, height: cell });
  if (rows.length > 1) picture.append(frame);
  picture.addEventListener("click", (event) => { if (event.target.dataset.row) onChoose(Number(event.target.dataset.row)); });
  place.replaceChildren(picture);
  return (chosen) => {
    frame.setAttribute("y", top + cell * chosen);
    picture.querySelectorAll(".row").forEach((name, i) => name.classList.toggle("chosen", rows.length > 1 && i === chosen));
  };
}

export const decades = (log10) => (log10 + DECADES) / DECADES;

function shape(tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

// log10 of shares by lag: a line for the medians, dots for one row.
export function drawProfile(place, medians, dots) {
  const width = 460, height = 260, left = 62, bottom = 34, top = 8, last = Math.max(1, medians.length - 1);
  const x = (lag) => left + (width - left - 8) * lag / last;
  const y = (log10) => top + (height - top - bottom) * Math.min(1, -Math.min(0.5, log10) / 6);
  const picture = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Share of the gradient by distance" });
  for (let decade = 0; decade >= -6; decade -= 2) {
    picture.append(shape("path", { class: "grid", d: `M${left} ${y(decade)}H${width - 8}` }));
    picture.append(shape("text", { x: left - 6, y: y(decade) + 4, "text-anchor": "end" }, `${+(100 * 10 ** decade).toPrecision(1)} %`));
  }
  const step = Math.max(1, Math.ceil(last / 6));
  for (let lag = 0; lag <= last; lag += step) picture.append(shape("text", { x: x(lag), y: height - 16, "text-anchor": "middle" }, lag));
  picture.append(shape("text", { x: (left + width) / 2, y: height - 1, "text-anchor": "middle" }, "tokens back"));
  const points = medians.map((value, lag) => value === null ? null : `${x(lag)} ${y(value)}`).filter(Boolean);
  picture.append(shape("path", { class: "line", d: points.length ? `M${points.join("L")}` : "" }));
  dots.forEach((value, lag) => value !== null && picture.append(shape("circle", { class: "dot", cx: x(lag), cy: y(value), r: 2.5 })));
  place.replaceChildren(picture);
}

// A line of values over the tokens of a text, the marked ones shaded; tokens stand below where they are given.
export function drawStrip(place, values, { step, marks, label, tokens }) {
  const height = 60, below = tokens ? 16 : 0, width = values.length * step, low = Math.min(0, ...values), high = Math.max(0, ...values), span = high - low || 1;
  const y = (value) => 4 + (height - 8) * (high - value) / span, x = (i) => (i + 0.5) * step;
  const picture = shape("svg", { width, height: height + below, role: "img", "aria-label": label });
  marks.forEach((on, i) => on && picture.append(shape("rect", { class: "mark", x: i * step, y: 0, width: step, height })));
  picture.append(shape("path", { class: "grid", d: `M0 ${y(0)}H${width}` }));
  picture.append(shape("path", { class: "line", d: "M" + values.map((value, i) => `${x(i)} ${y(value)}`).join("L") }));
  tokens?.forEach((token, i) => picture.append(shape("text", { x: x(i), y: height + 12, "text-anchor": "middle" }, token.slice(0, Math.ceil(step / 8)))));
  place.replaceChildren(picture);
}

// A row of tokens of which one can have the focus: arrow keys move, Enter and a click choose.
export class TokenRow {
  constructor(place, { onFocus, onChoose, words }) {
    place.replaceChildren();
    Object.assign(this, { place, onFocus, onChoose, words, spans: [], at: 0 });
    place.listening?.abort(); // the row that was here before
    place.listening = new AbortController();
    const on = (name, call) => place.addEventListener(name, call, { signal: place.listening.signal });
    on("keydown", (event) => this.key(event));
    on("click", (event) => this.pointed(event, (index) => this.onChoose(index)));
    on("mouseover", (event) => this.pointed(event, this.onFocus));
    on("focusin", (event) => this.pointed(event, this.onFocus));
  }

  pointed(event, call) {
    const index = this.spans.indexOf(event.target.closest(".token"));
    if (index < 0) return;
    if (event.type !== "mouseover") this.stand(index);
    call(index);
  }

  key(event) {
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10, Home: -1e9, End: 1e9 };
    if (event.key in moves && !event.ctrlKey && !event.altKey) {
      event.preventDefault();
      this.focus(this.at + moves[event.key]);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.onChoose(this.at);
    }
  }

  focus(index) {
    if (!this.spans.length) return;
    this.stand(Math.max(0, Math.min(this.spans.length - 1, index)));
    this.spans[this.at].focus();
  }

  // Where the keys go on from, and where Tab comes back to.
  stand(index) {
    this.spans[this.at]?.setAttribute("tabindex", "-1");
    this.at = index;
    this.spans[index].setAttribute("tabindex", "0");
  }

  // Changes what differs only: a text of 5,000 characters is not drawn anew at every key.
  // below: what stands under each token, where something does.
  show(texts, colours, below) {
    while (this.spans.length > texts.length) this.spans.pop().remove();
    while (this.spans.length < texts.length) {
      const span = element("span", { className: this.words ? "token word" : "token", tabIndex: -1 });
      span.setAttribute("role", "button");
      this.spans.push(span);
      this.place.append(span);
    }
    texts.forEach((text, i) => {
      const span = this.spans[i];
      const shown = text === "\n" ? "⏎\n" : this.words ? visible(text.trim() || text) : text.replace(/[\u0000-\u0009\u000b-\u001f]/g, "�") || "∅";
      if (span.shown !== shown) span.textContent = span.shown = shown;
      if (below && !span.querySelector("small")) span.append(element("small", { textContent: below[i] }));
      if (span.colour !== colours[i]) span.style.backgroundColor = span.colour = colours[i];
    });
    this.at = Math.max(0, Math.min(this.at, this.spans.length - 1));
    this.spans.forEach((span, i) => { if ((span.tabIndex === 0) !== (i === this.at)) span.tabIndex = i === this.at ? 0 : -1; });
  }
}
