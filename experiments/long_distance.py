"""Can a model still predict "tickets" when n words stand between the two mentions?

    python experiments/long_distance.py             about 10 minutes on 2 CPU cores
    python experiments/long_distance.py --smoke     seconds; numbers mean nothing

Networks learn a corpus of sentences and of stories, "anna tried to print her tickets ... then printed her tickets",
with 3 to 29 words between the mentions. They are asked for the last word at other distances, up to 100
words, and of two kinds of nouns: known from such stories, and new to them, though known from other sentences and
repeated there after three words. Right is the most probable of the nouns. Beside it the gradient horizon of each
network (lm_jax/analysis/lag_profile.py): the smallest lag at which the median gradient is below 10 % and 1 % of that at
lag 0 by h, at lag 1 by the whole carry, over all words of long stories and for the last word alone.

The same cells on three problems without words, trained anew for each delay: adding (Hochreiter & Schmidhuber 1997;
share of variance explained), copy (five symbols after a delay) and delayed echo (each symbol, a delay later).

Expected: within the distances trained on gated cells are right and the simple RNN falls with distance; beyond them
all fall, the RNN first; the order is that of the gradient horizons. Nouns new to the stories are harder for all.

A run that was interrupted goes on where it was: finished parts are kept in --runs.
"""

import argparse
import functools
import json
import random
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import lm_jax
from lm_jax import CELLS, DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from lm_jax.analysis import gradient_flow, lag_profile
from lm_jax.report.study import Picture, remember, write_study
from lm_jax.report.style import COLOURS, clean, label_ends


PEOPLE = (("anna", "her"), ("mary", "her"), ("paul", "his"), ("john", "his"))
KNOWN = ("tickets", "letters", "keys", "books", "cards", "maps")
NEW = ("plans", "rings", "boxes", "notes")
HAPPENED = ("printer failed", "office closed", "train stopped", "driver waited", "bridge burned", "teacher laughed")
PLACES = ("in town", "at home", "near london", "by night")
QUALITIES = ("old", "new", "small", "red", "cheap", "heavy")
CLOSING = 3  # words of "then printed her"
TRAINED = (3, *(n for n in range(6, 30) if n % 5))
ASKED = (5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100)
FAR = tuple(n for n in ASKED if n > max(TRAINED))
SHOWN = ("h of all words", "carry of all words", "carry of the last word")
LEAVES = ("h", "carry")  # gradients by h against lag 0, by the whole carry against lag 1
CHANCE = 1 / len(KNOWN + NEW)
DELAYS = (4, 12, 36)
SYMBOLS, COPIED = 8, 5
PROBLEMS = {
    "adding": "adding: variance explained",
    "copy": "copy: share of symbols right",
    "echo": "delayed echo: share of symbols right",
}


def filler(words, rng):
    """Exactly so many words that say little, in phrases of two to six."""
    text = []
    while len(text) < words:
        left = words - len(text)
        size = rng.choice([s for s in (2, 3, 4, 5, 6) if s == left or s <= left - 2])
        place = rng.choice(PLACES).split() if size in (5, 6) else []
        again = ["again"] if size in (4, 6) else []
        start = ["it", "rained"] if size == 2 else ["the", *rng.choice(HAPPENED).split()]
        text += [*start, *again, *place]
    return text


def story(noun, distance, rng):
    """The noun twice, `distance` words between."""
    name, their = rng.choice(PEOPLE)
    start = [name, "tried", "to", "print", their, noun]
    return [*start, *filler(distance - CLOSING, rng), "then", "printed", their, noun]


def sentence(rng):
    """What the corpus says of any noun outside stories."""
    name, their = rng.choice(PEOPLE)
    noun = rng.choice(KNOWN + NEW)
    return rng.choice(
        [
            ["the", noun, "were", rng.choice(QUALITIES)],
            [name, "lost", their, noun, *rng.choice(PLACES).split()],
            [name, "wanted", "the", noun, "and", "bought", "the", noun],
        ]
    )


def write_corpus(folder, lines, seed):
    """Training, validation and test text: three quarters stories, the short ones more often, and sentences."""
    rng = random.Random(seed)
    weights = [1 / n**2 for n in TRAINED]
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", lines), ("valid", lines // 20), ("test", lines // 20)):
        text = [
            story(rng.choice(KNOWN), rng.choices(TRAINED, weights)[0], rng) if k % 4 else sentence(rng)
            for k in range(count)
        ]
        (folder / f"{split}.txt").write_text("".join(" ".join(line) + "\n" for line in text))


def settings(name, data, seed, smoke):
    """The configuration of a network."""
    size = {"hidden_size": 16, "embedding_size": 8} if smoke else {"hidden_size": 64, "embedding_size": 64}
    return TrainConfig(
        data=DataConfig(str(data), "word"),
        model=ModelConfig(cell=name, recurrence="scan", **size),
        optimizer=OptimizerConfig(learning_rate=7e-3),
        mode="sentence",
        batch_size=64,
        bptt=48,  # chunks are cut anywhere: long ones seldom part the two mentions
        epochs=14,
        steps=5 if smoke else None,
        eval_every=5 if smoke else None,
        seed=seed,
    )


def make(name, data, folder, seed, smoke):
    """A network of the corpus, trained unless it was before."""
    if not finished(folder):
        print(f"{name}, seed {seed}", flush=True)
        new = not (folder / "config.json").exists()
        run = lm_jax.train(settings(name, data, seed, smoke), folder) if new else lm_jax.resume(folder)
        if run.results["stopped"]:
            raise SystemExit("stopped; the same command goes on from here")
    return lm_jax.load(folder)


def finished(folder):
    """Whether a run was trained to its end."""
    results = folder / "results.json"
    return results.exists() and not json.loads(results.read_text())["stopped"]


def ids_of(stories, vocabulary):
    """Stories as columns of ids [T, B] after the end-of-line token, padded at the end."""
    rows = [[vocabulary.eol_id, *(vocabulary.ids[word] for word in words)] for words in stories]
    return np.array([row + [vocabulary.eol_id] * (max(map(len, rows)) - len(row)) for row in rows]).T


def judge(loaded, each, texts):
    """Shares of last words that are right, of nouns and of all words, by kind and distance; and gradient horizons."""
    rng = random.Random(1)
    asked = [
        (kind, n, story(rng.choice(nouns), n, rng))
        for kind, nouns in (("known", KNOWN), ("new", NEW))
        for n in ASKED
        for _ in range(each)
    ]
    model, params, vocabulary = loaded.model, loaded.params, loaded.vocabulary
    tokens = ids_of([words for *_, words in asked], vocabulary)
    _, logits = jax.jit(model.unroll)(params, model.initial_carry(params, tokens.shape[1:]), tokens)
    last = np.array([len(words) for *_, words in asked])  # its place after the end-of-line token
    rows = np.arange(len(asked))
    logits, right = np.asarray(logits)[last - 1, rows], tokens[last, rows]
    choices = {"nouns": KNOWN + NEW, "new nouns": NEW, "all words": vocabulary.tokens}
    shares = {}
    for among, words in choices.items():
        ids = np.array([vocabulary.ids[word] for word in words])
        hits = (ids[logits[:, ids].argmax(1)] == right).reshape(2, len(ASKED), each).mean(-1)
        shares.update({f"{among}, {kind}": hits[k] for k, kind in enumerate(("known", "new"))})
    far = ids_of([story(rng.choice(KNOWN), ASKED[-1], rng) for _ in range(texts)], vocabulary)
    flow = gradient_flow(model, params, far)
    profiles = {
        f"{leaf} of {what}": lag_profile(flow, leaf="h" if leaf == "h" else "all", first=first, resamples=0)
        for leaf in LEAVES
        for what, first in (("all words", 20), ("the last word", len(far) - 2))
    }
    horizons = {name: {str(share): p.horizons[share] for share in (0.1, 0.01)} for name, p in profiles.items()}
    curves = {name: p.log_median for name, p in profiles.items()}
    return {"right": shares, "horizons": horizons, "log_median": curves, "lags": int(flow.max_lag)}


def draw_batch(problem, delay, batch_size, key):
    """Inputs [T, B, E], targets [T, B] and the weight [T] of each step."""
    keys = jax.random.split(key, 3)
    if problem == "adding":
        values = jax.random.uniform(keys[0], (delay, batch_size))
        first = jax.random.randint(keys[1], (batch_size,), 0, delay // 2)
        second = jax.random.randint(keys[2], (batch_size,), delay // 2, delay)
        marks = jax.nn.one_hot(first, delay, axis=0) + jax.nn.one_hot(second, delay, axis=0)
        targets = jnp.broadcast_to(jnp.sum(marks * values, axis=0), (delay, batch_size))
        return jnp.stack([values, marks], axis=-1), targets, jnp.arange(delay) == delay - 1
    length = COPIED if problem == "copy" else 2 * delay
    symbols = jax.random.randint(keys[0], (length, batch_size), 0, SYMBOLS)
    if problem == "copy":  # symbols, silence, a signal at each step of the recall
        silence = jnp.full((delay, batch_size), SYMBOLS)
        tokens = jnp.concatenate([symbols, silence, jnp.full((COPIED, batch_size), SYMBOLS + 1)])
        targets = jnp.concatenate([jnp.zeros((COPIED + delay, batch_size), jnp.int32), symbols])
        return jax.nn.one_hot(tokens, SYMBOLS + 2), targets, jnp.arange(len(tokens)) >= COPIED + delay
    return jax.nn.one_hot(symbols, SYMBOLS + 2), jnp.roll(symbols, delay, axis=0), jnp.arange(length) >= delay


def solve(problem, cell_name, delay, seeds, smoke):
    """How well networks of this cell do after training on one delay: {"score": [seeds]}."""
    print(f"{problem}, delay {delay}, {cell_name}", flush=True)
    hidden, steps, batch_size = (8, 3, 4) if smoke else (64, 600, 32)
    cell = CELLS[cell_name](2 if problem == "adding" else SYMBOLS + 2, hidden, recurrence="scan")
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(5e-3, steps, 0.1)))

    def outputs(params, xs):
        carry = cell.initial_carry(params["cell"], xs.shape[1:2])
        return cell.unroll(params["cell"], carry, xs)[1] @ params["w"] + params["b"]

    def loss(params, key):
        xs, targets, weight = draw_batch(problem, delay, batch_size, key)
        ys = outputs(params, xs)
        if problem == "adding":
            errors = jnp.square(ys[..., 0] - targets)
        else:
            errors = optax.softmax_cross_entropy_with_integer_labels(ys, targets)
        return jnp.sum(errors * weight[:, None]) / (jnp.sum(weight) * batch_size)

    def score(params, key):
        xs, targets, weight = draw_batch(problem, delay, 512, key)
        ys = outputs(params, xs)
        if problem == "adding":
            good = 1 - jnp.square(ys[..., 0] - targets) / (1 / 6)  # the variance of a sum of two
        else:
            good = ys.argmax(-1) == targets
        return jnp.sum(good * weight[:, None]) / (jnp.sum(weight) * 512)

    def run(key):
        keys = jax.random.split(key, 4)
        sizes = (hidden, 1 if problem == "adding" else SYMBOLS)
        params = {"cell": cell.init(keys[0]), "w": 0.1 * jax.random.normal(keys[1], sizes), "b": jnp.zeros(sizes[1])}

        def update(state, key):
            gradient = jax.grad(loss)(state[0], key)
            changes, moments = optimizer.update(gradient, state[1])
            return (optax.apply_updates(state[0], changes), moments), None

        state, _ = jax.lax.scan(update, (params, optimizer.init(params)), jax.random.split(keys[2], steps))
        return score(state[0], keys[3])

    run = jax.jit(run)
    return {"score": [float(run(key)) for key in jax.random.split(jax.random.key(0), seeds)]}


def mean_and_range(values):
    """Over the first axis, the seeds: mean, smallest, largest."""
    values = np.asarray(values, float)
    return values.mean(0), values.min(0), values.max(0)


def draw_lines(axes, x, by_name, ymin):
    """A line a model with the range over seeds, named at its end."""
    ends = []
    for name, values in by_name.items():
        mean, low, high = mean_and_range(values)
        axes.plot(x, mean, "o-", color=COLOURS[name], markersize=3)
        axes.fill_between(x, low, high, color=COLOURS[name], alpha=0.15, linewidth=0)
        ends.append((x[-1], mean[-1], name, COLOURS[name]))
    axes.set_xlim(0.9 * min(x), 1.02 * max(x))
    axes.set_ylim(ymin, 1.03)
    clean(axes)
    label_ends(axes, ends)


def chance_line(axes, level):
    """Where guessing is."""
    axes.axhline(level, color="0.4", linewidth=1, linestyle=":")
    axes.annotate("chance", (0.01, level), xycoords=("axes fraction", "data"), fontsize=8, color="0.4", va="bottom")


def draw_stories(results):
    """Accuracy against distance, for nouns known from stories and new to them."""
    panels = {
        "nouns, known": ("nouns known from stories", CHANCE),
        "nouns, new": ("nouns new to stories", CHANCE),
        "new nouns, new": (f"which of the {len(NEW)} new nouns", 1 / len(NEW)),
    }
    figure = Figure(figsize=(13, 4), layout="constrained")
    for axes, (key, (title, chance)) in zip(figure.subplots(1, 3, sharey=True), panels.items(), strict=True):
        axes.axvspan(min(TRAINED), max(TRAINED), color="0.93")
        axes.set_xscale("log")
        axes.set_xticks(ASKED, ASKED, fontsize=8)
        axes.minorticks_off()
        draw_lines(axes, ASKED, {name: [r["right"][key] for r in own] for name, own in results.items()}, 0)
        chance_line(axes, chance)
        axes.set_xlabel("words between the two mentions")
        axes.set_title(title, fontsize=10)
    figure.axes[0].set_ylabel(f"share of last words right, among {len(KNOWN + NEW)} nouns")
    return figure


def draw_horizons(results):
    """Accuracy beyond the distances trained on against the gradient horizon, a point a network."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    for axes, over in zip(figure.subplots(1, 3, sharey=True), SHOWN, strict=True):
        axes.set_xscale("log")
        axes.set_xlim(1, 1.3 * ASKED[-1])
        axes.set_xticks((1, 2, 5, 10, 20, 50, 100), (1, 2, 5, 10, 20, 50, 100))
        axes.minorticks_off()
        axes.set_ylim(0, 1.03)
        clean(axes)
        chance_line(axes, CHANCE)
        for name, own in results.items():
            found = [r["horizons"][over]["0.01"] for r in own]
            for k, (at, result) in enumerate(zip(found, own, strict=True)):
                label = name if k == 0 else None
                marker = "o" if at else ">"
                axes.plot(at or result["lags"], beyond(result), marker, color=COLOURS[name], label=label, clip_on=False)
        axes.set_xlabel(f"gradient horizon, 1 %, by {over} (words)", fontsize=9)
    figure.axes[0].set_ylabel(f"right at {FAR[0]} to {FAR[-1]} words, known nouns")
    figure.axes[0].legend(frameon=False, fontsize=8)
    return figure


def draw_problems(solved, delays):
    """Score against delay, a panel a problem."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    for axes, (problem, label) in zip(figure.subplots(1, 3), PROBLEMS.items(), strict=True):
        axes.set_xscale("log")
        axes.set_xticks(delays, delays)
        axes.minorticks_off()
        by_name = {
            cell: np.array([by_delay[str(d)]["score"] for d in delays]).T for cell, by_delay in solved[problem].items()
        }
        draw_lines(axes, delays, by_name, min(0, min(v.min() for v in by_name.values())))
        chance_line(axes, 0 if problem == "adding" else 1 / SYMBOLS)
        axes.set_xlabel("delay (steps)")
        axes.set_title(label, fontsize=10)
    return figure


def beyond(result):
    """Accuracy at the distances beyond those trained on, known nouns."""
    return float(np.mean([a for n, a in zip(ASKED, result["right"]["nouns, known"], strict=True) if n in FAR]))


def horizon_text(own):
    """Smallest and largest over seeds, in words."""
    found = [result["horizons"]["carry of the last word"]["0.01"] or np.inf for result in own]
    ends = [f"{at:.0f}" if np.isfinite(at) else f"over {own[0]['lags']}" for at in (min(found), max(found))]
    return " to ".join(dict.fromkeys(ends))


def rank_correlation(x, y) -> float:
    """Spearman's: the correlation of ranks, those that tie sharing theirs."""
    ranks = [[np.mean(np.less(v, a)) + np.mean(np.less_equal(v, a)) for a in v] for v in (x, y)]
    return float(np.corrcoef(ranks)[0, 1])


def correlation_text(results):
    """How accuracy goes with the gradient horizon over all networks, by two of its definitions."""
    networks = [result for own in results.values() for result in own]
    if len(networks) < 3:
        return "too few networks to compare with their horizons"
    right = [beyond(result) for result in networks]
    found = {over: rank_correlation([r["horizons"][over]["0.01"] or np.inf for r in networks], right) for over in SHOWN}
    return (
        f"over the {len(networks)} networks the rank correlation of accuracy at {FAR[0]} to {FAR[-1]} words with the "
        f"horizon is {', '.join(f'{value:.2f} by {over}' for over, value in found.items())}"
    )


def problem_text(solved, delays):
    """Mean scores of the cells at the two longest delays."""
    parts = []
    for problem, by_cell in solved.items():
        means = {d: [np.mean(by_delay[str(d)]["score"]) for by_delay in by_cell.values()] for d in delays[-2:]}
        scores = [f"{'/'.join(f'{mean:.2f}' for mean in row)} at {d}" for d, row in means.items()]
        parts.append(f"{problem} {' and '.join(scores)}")
    cells = "/".join(next(iter(solved.values())))
    return f"trained anew for delays of so many steps, {cells} score {'; '.join(parts)}"


def answer(results, solved, delays):
    """The finding in one sentence, from the numbers."""
    near = [n for n in ASKED if n not in FAR]
    parts, new = [], []
    for name, own in results.items():
        within = np.mean([r["right"]["nouns, known"][: len(near)] for r in own])
        new.append(np.mean([r["right"]["nouns, new"] for r in own]))
        far = np.mean([beyond(r) for r in own])
        parts.append(f"{name} {within:.0%} and {far:.0%} right (gradient horizon {horizon_text(own)} words)")
    return (
        f"The noun of {len(KNOWN + NEW)} (chance {CHANCE:.0%}), at {near[0]} to {near[-1]} and {FAR[0]} to {FAR[-1]} "
        f"words, none of them trained on: {'; '.join(parts)}, where horizons are those of 1 % by the whole carry, for "
        f"the last word; {correlation_text(results)}; of nouns never seen in a story, at most {max(new):.0%} are right "
        f"by any cell; {problem_text(solved, delays)}."
    )


def table(results, solved):
    """A row for each network and distance, and for each problem, cell, delay and seed."""
    rows = []
    for name, own in results.items():
        for seed, result in enumerate(own):
            horizons = {
                f"horizon {share}, {over}": result["horizons"][over][share]
                for over in result["horizons"]
                for share in ("0.1", "0.01")
            }
            for k, n in enumerate(ASKED):
                right = {key: values[k] for key, values in result["right"].items()}
                rows.append({"task": "story", "model": name, "seed": seed, "distance": n, **right, **horizons})
    for problem, by_cell in solved.items():
        for cell, by_delay in by_cell.items():
            for d, found in by_delay.items():
                for seed, score in enumerate(found["score"]):
                    rows.append({"task": problem, "model": cell, "seed": seed, "distance": int(d), "score": score})
    return rows


def pictures(results, solved, delays) -> list[Picture]:
    """All figures."""
    stories = (
        "Share of last words right against distance: mean and range over seeds. None of the distances asked for was "
        "trained on; those trained on are grey."
    )
    horizons = (
        f"A point a network; a triangle: beyond the lags measured. {ASKED[-1]} words are between the mentions here: a "
        "horizon just above means that the gradient reaches the first mention and nothing before it."
    )
    problems = "Adding, copy and echo: networks trained anew for each delay, mean and range over seeds."
    return [
        Picture("accuracy", draw_stories(results), stories),
        Picture("horizon", draw_horizons(results), horizons),
        Picture("problems", draw_problems(solved, delays), problems),
    ]


def solve_all(cells, delays, seeds, smoke, runs):
    """Scores by problem, cell and delay."""

    def part(problem, cell, d):
        compute = functools.partial(solve, problem, cell, d, seeds, smoke)
        return remember(runs / f"{problem}-{cell}-{d}-{seeds}.json", compute)

    return {problem: {cell: {str(d): part(problem, cell, d) for d in delays} for cell in cells} for problem in PROBLEMS}


def main() -> None:
    """Trains, asks, solves, writes the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="networks of each kind")
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes, of the LSTM alone")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "long_distance")
    parser.add_argument("--runs", type=Path, default=Path("checkpoints/long_distance"))
    arguments = parser.parse_args()
    smoke = arguments.smoke
    cells, seeds, delays = (("lstm",), 1, DELAYS[:1]) if smoke else (tuple(CELLS), arguments.seeds, DELAYS)
    runs = arguments.runs / ("smoke" if smoke else "full")
    write_corpus(runs / "text", 500 if smoke else 16_000, seed=0)

    def judged(name, seed):
        folder = runs / f"{name}-{seed}"
        each, texts = (5, 2) if smoke else (100, 16)
        return judge(make(name, runs / "text", folder, seed, smoke), each, texts)

    results = {
        name: [remember(runs / f"{name}-{seed}.json", functools.partial(judged, name, seed)) for seed in range(seeds)]
        for name in cells
    }
    solved = solve_all(cells, delays, seeds, smoke, runs)
    title, *paragraphs = __doc__.split("\n\n")
    said = answer(results, solved, delays)
    write_study(
        arguments.out,
        "long_distance",
        title="Long distance",
        question=title,
        expected=next(" ".join(p.split()) for p in paragraphs if p.startswith("Expected: ")).removeprefix("Expected: "),
        answer=said,
        command="python experiments/long_distance.py" + (" --smoke" if smoke else ""),
        results={"stories": results, "problems": solved, "asked": ASKED, "trained": TRAINED, "chance": CHANCE},
        rows=table(results, solved),
        figures=pictures(results, solved, delays),
    )
    print(said)


if __name__ == "__main__":
    main()
