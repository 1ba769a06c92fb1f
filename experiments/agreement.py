"""Does the verb agree with its subject when other nouns come between? "the writer of the books is / are"

    python experiments/agreement.py             about 4 minutes on 2 CPU cores
    python experiments/agreement.py --smoke     seconds; numbers mean nothing

Models of sentences from a small grammar: a subject, up to two prepositional phrases, a verb. They are asked for the
verb after phrases whose nouns have the subject's number or the other one (attractors), with up to four phrases:
twice as many as any sentence they were trained on. An error is a verb of the wrong number being the more probable.

Beside it the gradient horizons of each recurrent network on the longest of these sentences, with their verb: the
smallest number of words back at which the median gradient of the loss by h is below 10 % and 1 % of that at the output,
and by the whole carry of that one word back (lm_jax/analysis/lag_profile.py).

Expected: models of the last four words fail as soon as the subject is farther back, and go by the last noun
(sequential recency); recurrent networks mostly go by the subject (syntactic recency), worse with more attractors and
beyond the lengths they know, gated ones less so than the simple RNN.

Writes agreement.json, agreement.csv, agreement.png and report.html in --out (default: experiments/results/agreement). A
run that was interrupted goes on where it was when the command is given again.
"""

import argparse
import itertools
import json
import random
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import lm_jax
from lm_jax import DataConfig, ModelConfig, NGramConfig, OptimizerConfig, TrainConfig
from lm_jax.analysis import gradient_flow, lag_profile
from lm_jax.report.study import Picture, write_study


NOUNS = ("writer", "author", "farmer", "king", "pilot", "student", "teacher", "book", "house", "garden", "river", "dog")
VERBS = (("is", "are"), ("was", "were"), ("has", "have"), ("sings", "sing"), ("waits", "wait"), ("stands", "stand"))
PREPOSITIONS = ("of", "near", "behind", "with", "above")
ADJECTIVES = ("old", "new", "small", "red", "quiet", "famous")
ENDINGS = ("here", "there", "today", "again", "alone")
KNOWN_PHRASES, MOST_PHRASES = 2, 4
HORIZONS = (0.1, 0.01)
LEAVES = {"h": "h", "carry": "all"}
LONG = 17  # words of the sentences that gradients are measured on
SMOKE = ("5-gram", "lstm")
COLOURS = {"5-gram": "#000000", "window 4": "#E69F00", "rnn": "#0072B2", "gru": "#009E73", "lstm": "#D55E00"}


def noun(number, rng):
    """A noun phrase: number 0 for one, 1 for many."""
    adjective = [rng.choice(ADJECTIVES)] if rng.random() < 0.3 else []
    return ["the", *adjective, rng.choice(NOUNS) + ("s" if number else "")]


def subject(number, others, rng):
    """A noun phrase with a prepositional phrase for each number in `others`."""
    words = noun(number, rng)
    for other in others:
        words += [rng.choice(PREPOSITIONS), *noun(other, rng)]
    return words


def write_corpus(folder, sentences, seed):
    """Training, validation and test text."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", sentences), ("valid", sentences // 20), ("test", sentences // 20)):
        lines = []
        for _ in range(count):
            number = rng.randrange(2)
            others = [rng.randrange(2) for _ in range(rng.randint(0, KNOWN_PHRASES))]
            lines.append([*subject(number, others, rng), rng.choice(VERBS)[number], rng.choice(ENDINGS)])
        (folder / f"{split}.txt").write_text("".join(" ".join(line) + "\n" for line in lines))


def questions(each, seed):
    """Beginnings of sentences with the right and the wrong verb: `each` for every sequence of phrases' numbers."""
    rng = random.Random(seed)
    for phrases in range(MOST_PHRASES + 1):
        for pattern in itertools.product((0, 1), repeat=phrases):  # 1: an attractor
            for _ in range(each):
                number = rng.randrange(2)
                words = subject(number, [number ^ a for a in pattern], rng)
                verb = rng.choice(VERBS)
                at = next(i for i, word in enumerate(words) if word.rstrip("s") in NOUNS)
                yield {
                    "good": [*words, verb[number]],
                    "bad": [*words, verb[1 - number]],
                    "phrases": phrases,
                    "attractors": sum(pattern),
                    "distance": len(words) - at,
                    "last_is_attractor": bool(pattern and pattern[-1]),
                }


def settings(name, data, seed, smoke):
    """The configuration of a network."""
    size = {"hidden_size": 16, "embedding_size": 8} if smoke else {"hidden_size": 64, "embedding_size": 32}
    kind = {"model": "window", "window": 4} if name == "window 4" else {"cell": name, "recurrence": "scan"}
    return TrainConfig(
        data=DataConfig(str(data), "word"),
        model=ModelConfig(**kind, **size),
        optimizer=OptimizerConfig(learning_rate=5e-3),
        mode="sentence",
        bptt=32,
        epochs=4,
        steps=5 if smoke else None,
        eval_every=5 if smoke else None,
        seed=seed,
    )


def make(name, data, folder, seed, smoke):
    """A model of the corpus, trained unless it was before."""
    if not finished(folder):
        print(f"{name}, seed {seed}", flush=True)
        if name == "5-gram":
            lm_jax.train_ngram(NGramConfig(DataConfig(str(data), "word"), order=5), folder)
        else:
            new = not (folder / "config.json").exists()
            run = lm_jax.train(settings(name, data, seed, smoke), folder) if new else lm_jax.resume(folder)
            if run.results["stopped"]:
                raise SystemExit("stopped; the same command goes on from here")
    return lm_jax.load(folder)


def finished(folder):
    """Whether a run was trained to its end."""
    results = folder / "results.json"
    return results.exists() and not json.loads(results.read_text()).get("stopped")


def errors(loaded, asked):
    """For each question 1 if the wrong verb is the more probable, a half for a tie."""
    ids, eol_id = loaded.vocabulary.ids, loaded.vocabulary.eol_id
    lines = [[*(ids[word] for word in q[which]), eol_id] for which in ("good", "bad") for q in asked]
    tokens = np.concatenate(lines).astype(np.int32)
    log_probs = lm_jax.token_log_probs(loaded.model, loaded.params, tokens, eol_id, eval_streams=32, mode="sentence")
    verbs = log_probs[np.cumsum([len(line) for line in lines]) - 2]  # the word before the end
    differences = verbs[: len(asked)] - verbs[len(asked) :]
    return np.where(differences == 0, 0.5, differences < 0)


def horizons(loaded, asked):
    """Gradient horizons by threshold on the longest right sentences; None where there is none up to "largest_lag"."""
    if loaded.model.opened is None:
        return None
    sentences = [q["good"][:LONG] for q in asked if len(q["good"]) >= LONG]
    vocabulary = loaded.vocabulary
    tokens = [[vocabulary.eol_id, *(vocabulary.ids[word] for word in words)] for words in sentences]
    flow = gradient_flow(loaded.model, loaded.params, np.array(tokens).T)
    found = {name: lag_profile(flow, leaf=leaf, horizons=HORIZONS, resamples=0) for name, leaf in LEAVES.items()}
    lags = {name: {str(share): profile.horizons[share] for share in HORIZONS} for name, profile in found.items()}
    return {**lags, "largest_lag": flow.max_lag}


def horizon_text(found, leaf, share):
    """A horizon as the table has it."""
    if found is None:
        return "-"
    return f"> {found['largest_lag']}" if found[leaf][str(share)] is None else str(found[leaf][str(share)])


def summary(wrong, asked):
    """Error rates by what the questions have; the tables that are printed and drawn."""

    def rates(field, keep=lambda q: True):
        groups = sorted({q[field] for q in asked if keep(q)})
        chosen = {g: [w for w, q in zip(wrong, asked, strict=True) if q[field] == g and keep(q)] for g in groups}
        return {str(g): [float(np.mean(values)), len(values)] for g, values in chosen.items() if len(values) >= 30}

    return {
        "by_attractors": rates("attractors"),
        "by_attractors_known_lengths": rates("attractors", lambda q: q["phrases"] <= KNOWN_PHRASES),
        "by_phrases_without_attractor": rates("phrases", lambda q: q["attractors"] == 0),
        "by_distance_last_noun_agrees": rates("distance", lambda q: not q["last_is_attractor"]),
        "by_distance_last_noun_is_attractor": rates("distance", lambda q: q["last_is_attractor"]),
        # where subject and last noun differ: 1 - error goes by the subject, the rest by the last noun
        "last_noun_followed": float(np.mean([w for w, q in zip(wrong, asked, strict=True) if q["last_is_attractor"]])),
    }


PANELS = {
    "by_attractors": "nouns of the other number in between",
    "by_distance_last_noun_agrees": "words from subject to verb,\nlast noun of the subject's number",
    "by_distance_last_noun_is_attractor": "words from subject to verb,\nlast noun of the other number",
}


def draw(results):
    """A panel a question, a line a model: the mean over seeds, with their range."""
    figure = Figure(figsize=(11.0, 3.8), layout="constrained")
    for axes, (table, label) in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS.items(), strict=True):
        for name in dict.fromkeys(r["model"] for r in results):
            own, colour = [r["summary"][table] for r in results if r["model"] == name], COLOURS[name]
            x = [key for key in own[0] if all(key in one for one in own)]
            values = np.array([[one[key][0] for key in x] for one in own])
            at = [int(key) for key in x]
            axes.plot(at, values.mean(0), "o-", color=colour, markersize=3, label=name)
            axes.fill_between(at, values.min(0), values.max(0), color=colour, alpha=0.15, linewidth=0)
        axes.axhline(0.5, color="0.6", linewidth=0.8, linestyle=":")
        axes.set_xlabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
        axes.set_ylim(-0.02, 1.02)
    figure.axes[0].set_ylabel("share of verbs of the wrong number")
    figure.axes[0].legend(frameon=False, fontsize=8)
    return figure


def to_rows(results):
    """A line a model and seed: errors by attractors, and horizons; empty where there is none within the sentences."""
    rows = []
    for result in results:
        rates, found = result["summary"]["by_attractors"], result["gradient_horizons"]
        row = {"model": result["model"], "seed": result["seed"]}
        row |= {f"errors, {count} attractors": rate for count, (rate, _) in rates.items()}
        row["last noun followed"] = result["summary"]["last_noun_followed"]
        row |= {f"horizon {s}, {leaf}": found and found[leaf][str(s)] for leaf in LEAVES for s in HORIZONS}
        rows.append({**row, "largest lag": found and found["largest_lag"]})
    return rows


def span(values, form):
    """Of several seeds, the smallest and the largest."""
    return " to ".join(dict.fromkeys(format(value, form) for value in (min(values), max(values))))


def answer(results):
    """What was found, in one sentence made of the numbers."""
    parts = []
    for name in dict.fromkeys(result["model"] for result in results):
        own = [result for result in results if result["model"] == name]
        errors_of = {a: [r["summary"]["by_attractors"][str(a)][0] for r in own] for a in (1, MOST_PHRASES)}
        text = f"{name} {', '.join(span(values, '.0%') for values in errors_of.values())}"
        found = [r["gradient_horizons"] for r in own]
        if found[0]:
            reach = [", ".join(horizon_text(f, leaf, HORIZONS[0]) for f in found) for leaf in LEAVES]
            text += f" (10 % of the gradient reaches {reach[0]} words by h, {reach[1]} by the whole carry)"
        parts.append(text)
    return (
        f"With 1 and with {MOST_PHRASES} nouns of the other number between subject and verb the verb is wrong in: "
        f"{'; '.join(parts)}."
    )


def print_table(results):
    """Errors by attractors in between, where the last noun is one, and horizons by h and by the carry."""
    print("errors by attractors in between; last noun: where it is one, goes by it, not by the subject;")
    print("words back to which 10 % and 1 % of the gradient reach, by h and by the whole carry")
    head = "".join(f" {a:>6}" for a in range(MOST_PHRASES + 1))
    columns = list(itertools.product(LEAVES, HORIZONS))
    print(f"{'model':<10} {'seed':>4}{head}  last noun" + "".join(f" {leaf:>5} {s:.0%}" for leaf, s in columns))
    for result in results:
        rates, last_noun = result["summary"]["by_attractors"], result["summary"]["last_noun_followed"]
        cells = "".join(f" {rates[str(a)][0]:>6.1%}" for a in range(MOST_PHRASES + 1) if str(a) in rates)
        reach = "".join(f" {horizon_text(result['gradient_horizons'], *column):>8}" for column in columns)
        print(f"{result['model']:<10} {result['seed']:>4}{cells} {last_noun:>10.1%}{reach}")


def main() -> None:
    """Trains, asks, writes the study, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="networks of each kind")
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes, of two models")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "agreement")
    parser.add_argument("--runs", type=Path, default=Path("checkpoints/agreement"))
    arguments = parser.parse_args()
    runs = arguments.runs / ("smoke" if arguments.smoke else "full")
    write_corpus(runs / "text", 1000 if arguments.smoke else 30_000, seed=0)
    asked = list(questions(30 if arguments.smoke else 100, seed=1))
    results = []
    for name in SMOKE if arguments.smoke else COLOURS:
        for seed in range(1 if arguments.smoke or name == "5-gram" else arguments.seeds):
            folder = runs / f"{name.replace(' ', '-')}-{seed}"
            loaded = make(name, runs / "text", folder, seed, arguments.smoke)
            facts = {"summary": summary(errors(loaded, asked), asked), "gradient_horizons": horizons(loaded, asked)}
            results.append({"model": name, "seed": seed, **facts})
    print_table(results)
    title, *paragraphs = __doc__.split("\n\n")
    expected = next(" ".join(p.split()) for p in paragraphs if p.startswith("Expected: "))
    write_study(
        arguments.out,
        "agreement",
        title="Agreement of subject and verb",
        question=title,
        expected=expected.removeprefix("Expected: "),
        answer=answer(results),
        command="python experiments/agreement.py" + (" --smoke" if arguments.smoke else ""),
        results={"questions": len(asked), "models": results},
        rows=to_rows(results),
        figures=[
            Picture(
                "agreement",
                draw(results),
                f"Verbs of the wrong number among {len(asked):,} questions: mean and range over seeds; dotted: chance.",
            )
        ],
    )
    print(answer(results))


if __name__ == "__main__":
    main()
