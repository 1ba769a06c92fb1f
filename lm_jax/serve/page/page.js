// The page: what is typed is asked of every chosen model, and the answers are drawn.
import { MODEL_COLOURS, TokenRow, decades, drawCells, drawMap, drawProfile, element, percent, share, surprise, tint, visible } from "./charts.js";
import { startInside } from "./inside.js";

const at = (id) => document.getElementById(id);
const token = new URLSearchParams(location.search).get("token") || "";
const state = { models: [], chosen: new Set(), rows: new Map(), best: null, leaving: false };

// Asks one question; a refusal is an error whose message is its sentence.
export async function ask(path, body, signal) {
  let response;
  try {
    response = await fetch(path, { method: body ? "POST" : "GET", body: body && JSON.stringify(body), signal, headers: { Authorization: `Bearer ${token}` } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer: is lm-jax serve still running?");
  }
  if (response.ok) return response;
  const words = await response.json().then((record) => record.error.message, () => `the server said ${response.status}`);
  throw new Error(response.status === 401 ? "This address lacks the token: open the one that lm-jax serve has printed." : words);
}

export const answer = async (path, body) => (await ask(path, body)).json();

export function report(error) {
  at("error").hidden = !error;
  if (error) at("error").textContent = error.message;
}

const languageModels = () => state.models.filter((model) => model.type === "language model");
const chosenModels = () => languageModels().filter((model) => state.chosen.has(model.id));
const colourOf = (model) => MODEL_COLOURS[state.models.indexOf(model) % MODEL_COLOURS.length];
const isWords = (model) => model.level === "word" || model.level === "bpe";

// One question at a time: while one is under way only the last of those that came meanwhile is kept.
function latest(question) {
  let running = false, again = false;
  return async function run() {
    if (running) { again = true; return; }
    running = true;
    try {
      do { again = false; await question(); } while (again);
    } catch (error) { report(error); } finally { running = false; }
  };
}

// ---- type and see

const typed = latest(async () => {
  const text = at("text").value;
  let failed = null;
  for (const model of chosenModels()) {
    try {
      const first = known(model, text);
      show(model, whole(row(model).answer, await answer("/v1/score", { model: model.id, text, k: 10, first }), first));
    } catch (error) {
      showUnread(model, failed = error);
    }
  }
  report(failed);
  document.body.dataset.shown = text.length;
});

// How many tokens of the last answer stand at the beginning of a text: only what is behind them is asked for. A character
// more changes none of those before it, but it may change words and pairs. A token without a text is a part of a character.
function known(model, text) {
  const texts = isWords(model) ? [] : row(model).answer?.texts ?? [];
  let count = 0;
  for (let at = 0; count < texts.length && text.startsWith(texts[count], at); count++) at += texts[count].length;
  while (count && !texts[count - 1]) count--;
  return count;
}

function whole(last, found, first) {
  if (first) for (const name of ["tokens", "texts", "log_probs", "ranks", "entropies"]) found[name] = [...last[name].slice(0, first), ...found[name]];
  return found;
}

function row(model) {
  if (state.rows.has(model.id)) return state.rows.get(model.id);
  const swatch = () => { const dot = element("span", { className: "swatch" }); dot.style.backgroundColor = colourOf(model); return dot; };
  const note = element("p", { className: "quiet" }), list = element("div"), total = element("span", { className: "quiet" });
  const panel = element("div", { className: "panel" }, element("div", { className: "row-title" }, swatch(), element("h3", { textContent: model.id }), element("span", { className: "quiet", textContent: model.title })), note, list);
  const place = element("div", { className: "tokens" }), line = element("div", {}, element("div", { className: "row-title" }, swatch(), element("span", { textContent: model.id }), total), place);
  place.setAttribute("role", "group");
  place.setAttribute("aria-label", `Surprise under ${model.id}`);
  const made = { panel, line, note, list, total, answer: null };
  made.tokens = new TokenRow(place, {
    words: isWords(model),
    onFocus: (index) => { at("detail").textContent = detail(model, made.answer, index); },
    onChoose: (index) => lookBack(model, at("text").value, index),
  });
  state.rows.set(model.id, made);
  at("bars").append(panel);
  at("surprise").append(line);
  return made;
}

function detail(model, found, index) {
  if (!found) return "";
  const logProb = found.log_probs[index], words = logProb === null ? "probability 0" : `probability ${percent(Math.exp(logProb))}, ${(-logProb).toFixed(2)} nats`;
  return `${model.id}: “${visible(found.texts[index])}” had ${words}, rank ${found.ranks[index].toLocaleString("en")}; entropy before it ${found.entropies[index].toFixed(2)} nats`;
}

function show(model, found) {
  const shown = row(model);
  shown.answer = found;
  const unknown = found.unknown.length ? `; read as <unk>: ${found.unknown.join(", ")}` : "";
  shown.note.textContent = `entropy ${found.entropy.toFixed(2)} nats, as of ${Math.exp(found.entropy).toFixed(1)} equally likely tokens${unknown}`;
  shown.list.replaceChildren(...found.next.map((next) => bar(model, next)));
  const count = found.log_probs.length, nats = -found.log_prob / count;
  shown.total.textContent = count ? `${count.toLocaleString("en")} tokens, ${nats.toFixed(3)} nats each: perplexity ${Math.exp(nats).toPrecision(4)}` : "nothing typed yet";
  shown.tokens.show(found.texts, found.log_probs.map(surprise));
  if (model === chosenModels()[0]) state.best = found.next[0];
}

// Nothing of an older text stays beside one that the model does not read.
function showUnread(model, error) {
  const shown = row(model);
  shown.answer = null;
  shown.note.textContent = error.message;
  shown.total.textContent = "cannot read this text";
  shown.list.replaceChildren();
  shown.tokens.show([], []);
  if (model === chosenModels()[0]) state.best = null;
}

function bar(model, next) {
  const fill = element("span", { className: "fill" }), made = element("button", { className: "bar", type: "button", tabIndex: -1 },
    element("span", { className: "name", textContent: visible(next.text || next.token) }), element("span", { className: "track" }, fill), element("span", { className: "number", textContent: percent(next.probability) }));
  fill.style.width = `${100 * next.probability}%`;
  fill.style.backgroundColor = colourOf(model);
  made.title = `put “${visible(next.text || next.token)}” behind the text`;
  made.addEventListener("click", () => take(next));
  return made;
}

function take(next) {
  if (!next) return;
  at("text").value += next.text;
  at("text").focus();
  state.best = null;
  typed();
}

function startTyping() {
  at("text").addEventListener("input", typed);
  at("text").addEventListener("keydown", (event) => {
    if (event.key === "Escape") state.leaving = true;
    else if (event.key === "Tab" && !event.shiftKey && !state.leaving) { event.preventDefault(); take(state.best); }
    else if (event.key !== "Tab") state.leaving = false;
  });
  at("text").addEventListener("blur", () => { state.leaving = false; });
  at("legend").append(...[0, 1, 2, 4, 6, 8].map((nats) => {
    const box = element("span", { textContent: nats === 8 ? "8 nats or more" : `${nats}` });
    box.style.backgroundColor = surprise(-nats);
    return box;
  }));
}

function choose() {
  for (const model of languageModels()) {
    const on = state.chosen.has(model.id);
    if (on) row(model);
    if (state.rows.has(model.id)) for (const part of ["panel", "line"]) state.rows.get(model.id)[part].hidden = !on;
  }
  at("taker").textContent = chosenModels()[0]?.id ?? "the first model";
  typed();
}

// ---- generate

function generation() {
  const body = { model: at("g-model").value, prompt: at("prompt").value };
  for (const name of ["tokens", "temperature", "top_k", "top_p", "seed", "beam_size"]) {
    if (at(name).value !== "") body[name] = Number(at(name).value);
  }
  if (body.beam_size) for (const name of ["temperature", "top_k", "top_p", "seed"]) delete body[name];
  return body;
}

function showCommand() {
  const body = generation(), quoted = `'${body.prompt.replace(/'/g, `'\\''`)}'`;
  const flags = Object.entries(body).filter(([name]) => name !== "model" && name !== "prompt").map(([name, value]) => `--${name.replace("_", "-")} ${value}`);
  at("command").textContent = `lm-jax generate ${state.models.find((model) => model.id === body.model)?.path} --prompt ${quoted} ${flags.join(" ")}`;
  at("temperature-shown").textContent = at("temperature").value;
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let held = "";;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (held + value).split("\n\n");
    held = lines.pop();
    for (const line of lines) if (line !== "data: [DONE]") yield JSON.parse(line.slice(6));
  }
}

async function generate(stopping) {
  const body = generation(), place = at("generated");
  report(null);
  place.replaceChildren(element("b", { textContent: body.prompt }));
  let count = 0;
  for await (const record of events(await ask("/v1/generate", body, stopping.signal))) {
    if (record.error) throw new Error(record.error.message);
    if (record.hypotheses) place.replaceChildren(...record.hypotheses.map((row) => element("p", {}, `${row.log_prob.toFixed(3)}  `, element("b", { textContent: body.prompt }), row.text.trimEnd())));
    if (record.text) place.append(record.text);
    count += record.tokens ?? 0;
    at("generated-state").textContent = record.hypotheses ? `${record.hypotheses.length} hypotheses, log-probability in nats` : `${count} tokens${record.finished ? "" : " ..."}`;
  }
}

function startGenerating() {
  let stopping = null;
  at("generation").addEventListener("input", showCommand);
  at("stop").addEventListener("click", () => stopping?.abort());
  at("generation").addEventListener("submit", async (event) => {
    event.preventDefault();
    stopping?.abort();
    const own = stopping = new AbortController();
    at("stop").disabled = false;
    at("generated-state").textContent = "reading the prompt ...";
    try {
      await generate(own);
    } catch (error) {
      if (error.name === "AbortError") at("generated-state").textContent += " stopped";
      else { report(error); at("generated-state").textContent = ""; }
    } finally {
      if (own === stopping) at("stop").disabled = true;
    }
  });
}

// ---- how far back

const back = { found: null, position: 0, tokens: null };

function lookBack(model, text, position) {
  at("b-model").value = model.id;
  at("b-text").value = text;
  select("back");
  measure(position);
}

async function measure(position) {
  const model = state.models.find((one) => one.id === at("b-model").value), text = at("b-text").value;
  report(null);
  at("b-state").textContent = "measuring; the first time of a length it is compiled ...";
  at("measure").disabled = true;
  try {
    const more = model.type === "language model" && position !== undefined ? { position } : {};
    const found = await answer("/v1/gradients", { model: model.id, text, ...more });
    Object.assign(back, VIEWS[model.type](found), { model });
    at("b-state").textContent = back.state;
    at("b-result").hidden = false;
    at("b-tokens").replaceChildren();
    back.tokens = new TokenRow(at("b-tokens"), { words: isWords(model), onFocus: () => {}, onChoose: (index) => { if (back.byToken) move(index); } });
    Object.assign(at("b-position"), { max: back.rows.length - 1 });
    at("b-slide").hidden = back.rows.length < 2;
    at("b-profile-figure").hidden = !back.profile;
    drawBackMap();
    move(position === undefined ? (back.profile ? back.rows.length - 1 : 0) : position - (found.first ?? 0));
  } catch (error) {
    report(error);
    at("b-state").textContent = "";
    at("b-result").hidden = true;
  } finally {
    at("measure").disabled = false;
  }
}

// What each type of model shows: the texts, a row of colours for each position, words about it, and a map.
const VIEWS = {
  "language model": (found) => ({
    state: found.first ? `the ${found.predicted.length} tokens from token ${found.first + 1} on; what was before them is not read here` : "",
    byToken: true, texts: found.predicted, profile: found.profile, rows: found.log10_shares,
    colours: (i) => found.predicted.map((_, j) => j < i ? share(found.log10_shares[i][j + 1]) : "transparent"),
    words: (i) => lossWords(found, i),
    map: found.log10_shares.map((row) => row.map((value) => decades(value ?? -9))), names: found.predicted, columns: found.past,
    caption: "Row: predicted token; column: earlier token; bright: much of the gradient is left (dark: 0.01 % or less)",
  }),
  classifier: (found) => {
    const most = Math.max(1e-9, ...found.occlusion.map(Math.abs));
    return {
      state: "", byToken: false, texts: found.source, profile: null, rows: [found.label],
      colours: () => found.occlusion.map((value) => tint(value > 0 ? "left" : "surprise", 0.85 * Math.abs(value) / most)),
      words: () => `${found.label}, ${percent(found.probability)}. Blue words speak for it, orange ones against: ` + [...found.source.keys()].sort((a, b) => Math.abs(found.occlusion[b]) - Math.abs(found.occlusion[a])).slice(0, 5).map((i) => `${found.source[i]} ${found.occlusion[i] >= 0 ? "+" : ""}${found.occlusion[i].toFixed(2)}`).join(", ") + " nats (what log P loses without the word)",
      map: scaled(found.norms), names: [found.label], columns: found.source, caption: "How strongly the label depends on the vector of each word (bright: most)",
    };
  },
  translator: (found) => ({
    state: `translation: ${found.translation}`, byToken: false, texts: found.source, profile: null, rows: found.answers,
    colours: (k) => relative((found.attention ?? found.norms)[k]),
    words: (k) => `“${visible(found.answers[k])}” (${percent(found.probabilities[k])}): ${found.attention ? "the weights of attention" : "the gradient by each word"}, most on “${top(found, k)}”`,
    map: scaled(found.attention ?? found.norms), names: found.answers.map(visible), columns: found.source, caption: `Row: word of the translation; column: word of the sentence (${found.attention ? "attention" : "gradient"})`,
  }),
  tagger: (found) => ({
    state: "", byToken: true, texts: found.source, below: found.answers, profile: null, rows: found.answers,
    colours: (k) => relative(found.norms[k]),
    words: (k) => `“${found.source[k]}” is ${found.answers[k]} (${percent(found.probabilities[k])}): the gradient of that by each word`,
    map: scaled(found.norms), names: found.answers.map((tag, k) => `${visible(found.source[k])}: ${tag}`), columns: found.source, caption: "Row: tag; column: word that it rests on",
  }),
};

const scaled = (rows) => { const most = Math.max(1e-12, ...rows.flat()); return rows.map((row) => row.map((value) => value / most)); };
const relative = (row) => row.map((value) => tint("left", 0.85 * value / Math.max(1e-12, ...row)));
const top = (found, k) => { const row = (found.attention ?? found.norms)[k]; return found.source[row.indexOf(Math.max(...row))]; };

function lossWords(found, i) {
  const row = found.log10_shares[i], reach = (part) => i - row.findIndex((value) => value !== null && value >= Math.log10(part)) + 1;
  return `The loss on “${found.predicted[i]}” is ${found.nats[i].toFixed(2)} nats. More than 10 % of its gradient reaches ${reach(0.1)} tokens back, more than 1 % reaches ${reach(0.01)}.`;
}

// Names stand beside a map where they can be read; that of a language model has nothing but the tokens that stand above it.
function drawBackMap() {
  const named = Math.max(back.map.length, back.columns.length) <= (back.profile ? 32 : 96);
  at("b-map").hidden = named;
  at("b-cells").hidden = !named;
  at("b-map-words").textContent = back.caption;
  back.mark = named ? drawCells(at("b-cells"), back.map, { rows: back.names, columns: back.columns.map(visible) }, move)
    : (i) => drawMap(at("b-map"), back.map, back.columns.length, i);
}

function move(index) {
  const i = back.position = Math.max(0, Math.min(back.rows.length - 1, index));
  at("b-position").value = i;
  at("b-shown").textContent = `${i + 1} of ${back.rows.length}`;
  at("b-answer").textContent = back.words(i);
  back.tokens.show(back.texts, back.colours(i), back.below);
  back.tokens.spans.forEach((span, j) => { span.classList.toggle("chosen", back.byToken && j === i); span.classList.toggle("later", Boolean(back.profile) && j > i); });
  back.mark(i);
  if (back.profile) drawProfile(at("b-profile"), back.profile, [...back.rows[i]].reverse());
}

function startBack() {
  at("measuring").addEventListener("submit", (event) => { event.preventDefault(); measure(); });
  at("b-position").addEventListener("input", () => move(Number(at("b-position").value)));
  at("b-map").addEventListener("click", (event) => {
    const box = at("b-map").getBoundingClientRect();
    if (back.rows) move(Math.floor(back.map.length * (event.clientY - box.top) / box.height));
  });
}

// ---- tabs, and the start

function select(name) {
  for (const tab of at("tabs").children) {
    const on = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", on);
    tab.tabIndex = on ? 0 : -1;
    at(tab.getAttribute("aria-controls")).hidden = !on;
  }
}

function startTabs() {
  const tabs = [...at("tabs").children], open = (tab) => { select(tab.getAttribute("aria-controls")); report(null); };
  for (const tab of tabs) tab.addEventListener("click", () => open(tab));
  at("tabs").addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    const next = tabs[(tabs.indexOf(document.activeElement) + move + tabs.length) % tabs.length];
    next.focus();
    open(next);
  });
}

function startModels() {
  for (const model of languageModels()) {
    state.chosen.add(model.id);
    const box = element("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => { box.checked ? state.chosen.add(model.id) : state.chosen.delete(model.id); choose(); });
    at("models").append(element("label", {}, box, `${model.id} (${model.title})`));
    at("g-model").append(element("option", { value: model.id, textContent: model.id }));
  }
  for (const model of state.models) at("b-model").append(element("option", { value: model.id, textContent: `${model.id}: ${model.type}` }));
}

async function start() {
  startTabs();
  startTyping();
  startGenerating();
  startBack();
  try {
    state.models = (await answer("/v1/models")).data;
    startModels();
    startInside(languageModels().filter((model) => model.layers), { answer, report, isWords });
    at("text").value = at("b-text").value = at("prompt").value = "";
    showCommand();
    choose();
    at("tab-inside").hidden = !languageModels().some((model) => model.layers);
    if (!languageModels().length) { select("back"); for (const name of ["type", "generate", "inside"]) at(`tab-${name}`).hidden = true; }
    else at("text").focus();
  } catch (error) { report(error); }
}

start();
