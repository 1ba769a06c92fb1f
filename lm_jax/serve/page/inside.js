// Look inside: values of units over a text, and the search for those that follow what was marked.
import { TokenRow, drawStrip, element } from "./charts.js";

const at = (id) => document.getElementById(id);

// models: those with a recurrent network. answer, report, isWords: of the page.
export function startInside(models, { answer, report, isWords }) {
  const state = { row: null, marks: [], model: null, text: null, units: [], down: null };

  async function look(body) {
    const model = models.find((one) => one.id === at("i-model").value), text = at("i-text").value;
    if (text !== state.text || model !== state.model) forget();
    report(null);
    at("i-state").textContent = "reading ...";
    try {
      const found = await answer("/v1/states", { model: model.id, text, ...body });
      if (!state.row) begin(model, text, found.tokens);
      state.units = found.units;
      state.tokens = found.tokens;
      const arrays = Object.entries(found.arrays).map(([name, size]) => `${name} 0-${size - 1}`).join(", ");
      at("i-state").textContent = `units of ${model.id}: ${arrays}`;
      draw();
    } catch (error) {
      report(error);
      at("i-state").textContent = "";
    }
  }

  function forget() {
    state.row = null;
    state.units = [];
    at("i-tokens").replaceChildren();
    at("i-strips").replaceChildren();
  }

  function begin(model, text, tokens) {
    Object.assign(state, { model, text, marks: tokens.map(() => 0) });
    state.row = new TokenRow(at("i-tokens"), { words: isWords(model), onFocus: () => {}, onChoose: () => {} });
    state.row.onChoose = (index) => mark(index, 1 - state.marks[index]);
    state.row.show(tokens, tokens.map(() => ""));
  }

  function mark(index, value) {
    state.marks[index] = value;
    state.row.spans[index].classList.toggle("marked", Boolean(value));
    state.row.spans[index].setAttribute("aria-pressed", Boolean(value));
    const some = state.marks.some(Boolean);
    at("i-search").disabled = at("i-clear").disabled = !some;
    draw();
  }

  function draw() {
    const step = isWords(state.model) ? 56 : 12;
    at("i-strips").replaceChildren(...state.units.flatMap((unit) => {
      const words = `${unit.name} ${unit.unit}` + (unit.correlation === null ? "" : `, correlation ${unit.correlation.toFixed(2)}`);
      const low = Math.min(...unit.values), high = Math.max(...unit.values), place = element("div");
      drawStrip(place, unit.values, { step, marks: state.marks, label: words, tokens: state.tokens });
      return [element("h3", { textContent: `${words}: ${low.toFixed(2)} to ${high.toFixed(2)}` }), place];
    }));
  }

  function chosenUnits() {
    return at("i-units").value.split(",").map((part) => part.trim()).filter(Boolean).map((part) => {
      const [name, number] = [part.replace(/\s*\d+$/, ""), part.match(/(\d+)$/)];
      if (!name || !number) throw new Error(`Units are names with a number, such as “h 3, c 0”; got “${part}”.`);
      return [name, Number(number[1])];
    });
  }

  function under(event) {
    return state.row ? state.row.spans.indexOf(event.target) : -1;
  }

  for (const model of models) at("i-model").append(element("option", { value: model.id, textContent: model.id }));
  const command = () => { at("i-command").textContent = `lm-jax states ${models.find((one) => one.id === at("i-model").value)?.path ?? "RUN"} FILE --out states.npz`; };
  const defaults = () => { at("i-units").value = [0, 1, 2].map((unit) => `${(models.find((one) => one.id === at("i-model").value)?.layers ?? 1) > 1 ? "0." : ""}h ${unit}`).join(", "); command(); };
  defaults();
  at("i-model").addEventListener("change", defaults);
  at("looking").addEventListener("submit", (event) => {
    event.preventDefault();
    try { look({ units: chosenUnits() }); } catch (error) { report(error); }
  });
  at("i-search").addEventListener("click", () => look({ pattern: state.marks, k: 8 }));
  at("i-clear").addEventListener("click", () => state.marks.forEach((_, index) => mark(index, 0)));
  // by the mouse: from where it goes down to where it goes up; a click alone turns one mark
  at("i-tokens").addEventListener("mousedown", (event) => { state.down = under(event); });
  at("i-tokens").addEventListener("mouseup", (event) => {
    const last = under(event), first = state.down;
    if (first < 0 || last < 0 || first === null || first === last) return;
    event.preventDefault();
    getSelection().removeAllRanges();
    for (let index = Math.min(first, last); index <= Math.max(first, last); index++) mark(index, 1);
  });
}
