"""Does the verb agree with its subject when other nouns come between? "the writer of the books is / are"

    python experiments/language_models/agreement.py     about 4 minutes on 2 CPU cores

Models of sentences from a small grammar: a subject, up to two prepositional phrases, a verb. They are asked for the
verb after phrases whose nouns have the subject's number or the other one (attractors), with up to four phrases:
twice as many as any sentence they were trained on. An error is a verb of the wrong number being the more probable.

Beside it the gradient horizons of each recurrent network on the longest of these sentences, with their verb: the
smallest number of words back at which the median gradient of the loss by h is below 10 % and 1 % of that at the output,
and by the whole carry of that one word back (lm_jax/analysis/lag_profile.py).

Expected: models of the last four words fail as soon as the subject is farther back, and go by the last noun
(sequential recency); recurrent networks mostly go by the subject (syntactic recency), worse with more attractors and
beyond the lengths they know, gated ones less so than the simple RNN.
"""

import itertools
import random

import numpy as np

from experiments.harness import Study, integer
from experiments.harness.runs import trained
from experiments.harness.sentences import ids_of, write_corpus
from experiments.language_models.agreement_findings import HORIZONS, LEAVES, MODELS, MOST_PHRASES, findings
from lm_jax.analysis import gradient_flow, lag_profile
from lm_jax.config import DataConfig, NGramConfig, TrainConfig, from_flat
from lm_jax.inference import token_log_probs


STUDY = Study(__doc__, __file__, {"--seeds": integer(3, "networks of each kind")})
NOUNS = ("writer", "author", "farmer", "king", "pilot", "student", "teacher", "book", "house", "garden", "river", "dog")
VERBS = (("is", "are"), ("was", "were"), ("has", "have"), ("sings", "sing"), ("waits", "wait"), ("stands", "stand"))
PREPOSITIONS = ("of", "near", "behind", "with", "above")
ADJECTIVES = ("old", "new", "small", "red", "quiet", "famous")
ENDINGS = ("here", "there", "today", "again", "alone")
KNOWN_PHRASES = 2
LONG = 17  # words of the sentences that gradients are measured on
SMOKE = ("5-gram", "lstm")


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


def sentence(rng):
    """A sentence of the corpus."""
    number = rng.randrange(2)
    others = [rng.randrange(2) for _ in range(rng.randint(0, KNOWN_PHRASES))]
    return [*subject(number, others, rng), rng.choice(VERBS)[number], rng.choice(ENDINGS)]


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


def settings(name, text, seed, smoke):
    """The configuration of a model."""
    data = DataConfig(str(text), "word", min_count=1)
    if name == "5-gram":
        return NGramConfig(data, order=5)
    size = {"hidden_size": 16, "embedding_size": 8} if smoke else {"hidden_size": 64, "embedding_size": 32}
    network = {"model": "window", "window": 4} if name == "window 4" else {"cell": name, "recurrence": "scan"}
    training = {"learning_rate": 5e-3, "mode": "sentence", "bptt": 32, "epochs": 4, "dropout": 0.0, "seed": seed}
    length = {"steps": 5, "eval_every": 5} if smoke else {}
    return from_flat(TrainConfig, network | size | training | length, TrainConfig(data=data))


def errors(loaded, asked):
    """For each question 1 if the wrong verb is the more probable, a half for a tie."""
    ids, eol_id = loaded.vocabulary.ids, loaded.vocabulary.eol_id
    lines = [[*(ids[word] for word in q[which]), eol_id] for which in ("good", "bad") for q in asked]
    tokens = np.concatenate(lines).astype(np.int32)
    log_probs = token_log_probs(loaded.model, loaded.params, tokens, eol_id, eval_streams=32, mode="sentence")
    verbs = log_probs[np.cumsum([len(line) for line in lines]) - 2]  # the word before the end
    differences = verbs[: len(asked)] - verbs[len(asked) :]
    return np.where(differences == 0, 0.5, differences < 0)


def horizons(loaded, asked):
    """Gradient horizons by threshold on the longest right sentences; None where there is none up to "largest_lag"."""
    if loaded.model.opened is None:
        return None
    tokens = ids_of([q["good"][:LONG] for q in asked if len(q["good"]) >= LONG], loaded.vocabulary)
    flow = gradient_flow(loaded.model, loaded.params, tokens)
    found = {name: lag_profile(flow, leaf=leaf, horizons=HORIZONS, resamples=0) for name, leaf in LEAVES.items()}
    lags = {name: {str(share): profile.horizons[share] for share in HORIZONS} for name, profile in found.items()}
    return {**lags, "largest_lag": flow.max_lag}


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


def run(arguments) -> dict:
    """Trains and asks."""
    smoke, text = arguments.smoke, arguments.runs / "text"
    rng = random.Random(0)
    write_corpus(text, 1000 if smoke else 30_000, lambda _: sentence(rng))
    asked = list(questions(30 if smoke else 100, seed=1))
    models = []
    for name in SMOKE if smoke else MODELS:
        for seed in range(1 if smoke or name == "5-gram" else arguments.seeds):
            one = trained(settings(name, text, seed, smoke), arguments.runs / f"{name.replace(' ', '-')}-{seed}")
            found = {"summary": summary(errors(one, asked), asked), "gradient_horizons": horizons(one, asked)}
            models.append({"model": name, "seed": seed, **found})
    return {"questions": len(asked), "models": models}


if __name__ == "__main__":
    STUDY.main(run, findings)
