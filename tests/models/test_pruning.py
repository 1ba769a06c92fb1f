"""Pruning: what is left is a distribution, costs are those of the definition, and counts are KenLM's."""

import itertools
import json
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from lm_jax.data.vocabulary import build_vocabulary, with_zero_count_type
from lm_jax.errors import UserError
from lm_jax.interop.arpa_reader import read_arpa
from lm_jax.models.ngram import ESTIMATORS, BackoffParams, estimate
from lm_jax.models.ngram.pruning import prune_by_entropy
from lm_jax.models.ngram.score_text import text_log_probs
from lm_jax.models.ngram.suffixes import lower_log_probs, with_suffixes


GOLDEN = Path(__file__).parents[1] / "golden"
V, EOL = 7, 0
rng = np.random.default_rng(3)
TEXT = rng.choice(V, 900, p=[0.15, 0.35, 0.2, 0.0, 0.15, 0.1, 0.05]).astype(np.int32)  # type 3 never occurs
OTHER = rng.choice(V, 500, p=[0.15, 0.33, 0.2, 0.02, 0.15, 0.1, 0.05]).astype(np.int32)
TEXTS = {
    "text": TEXT,
    "all pairs": np.concatenate([TEXT, np.tile(list(itertools.product(range(V), repeat=2)), (1, 2)).ravel()]),
    "one line": np.array([1, 2, 1, 0], np.int32),
    "no end": np.array([3, 3], np.int32),
}
DISTRIBUTIONS = [name for name in ESTIMATORS if name not in ("maximum-likelihood", "stupid-backoff")]
# every context of up to three words: of a line that begins with them
CONTEXTS = [context for m in range(4) for context in itertools.product(range(1, V), repeat=m)]


def make(method, order=3, text=TEXT, **options):
    return estimate(text, order, V, EOL, method=method, held_out=OTHER, **options).params


def distributions(params):
    """P(w | <s> context) [contexts, V]."""
    lines = [[*context, word] for context in CONTEXTS for word in range(V)]
    tokens = np.array([token for line in lines for token in ([*line, EOL] if line[-1] != EOL else line)], np.int32)
    at = (
        np.cumsum([len(line) + (line[-1] != EOL) for line in lines]) - 1 - np.array([line[-1] != EOL for line in lines])
    )
    return np.exp(text_log_probs(params, tokens, EOL)[at].astype(np.float64)).reshape(-1, V)


def perplexity(params):
    return math.exp(-text_log_probs(params, OTHER, EOL).astype(np.float64).mean())


def strings(params):
    """{n-gram: its log probability} of each order, <s> and </s> both as EOL."""
    orders = [{(word,): p for word, p in enumerate(params.log_prob[0].tolist())}]
    for start, words, log_prob in zip(params.child_start, params.words[1:], params.log_prob[1:], strict=True):
        above = list(orders[-1])
        rows = [(row, at) for row in range(len(above)) for at in range(start[row], start[row + 1])]
        orders.append({(*above[row], int(words[at])): float(log_prob[at]) for row, at in rows})
    return orders


@pytest.mark.parametrize("thresholds", [(0, 1), (0, 0, 2), (0, 1, 3)], ids=str)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("method", DISTRIBUTIONS)
def test_probabilities_sum_to_one_after_pruning_by_count(method, order, text, thresholds):
    params = make(method, order, text, prune_counts=thresholds[:order])
    np.testing.assert_allclose(distributions(params).sum(-1), 1, atol=2e-6)


@pytest.mark.parametrize("threshold", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("method", DISTRIBUTIONS)
def test_probabilities_sum_to_one_after_pruning_by_entropy(method, order, text, threshold):
    """Once, and once more: then suffixes of n-grams are missing."""
    params = prune_by_entropy(make(method, order, text), threshold)
    np.testing.assert_allclose(distributions(params).sum(-1), 1, atol=2e-6)
    again = prune_by_entropy(params, 10 * threshold)
    np.testing.assert_allclose(distributions(again).sum(-1), 1, atol=2e-6)


def test_counts_are_pruned_as_kenlm_does():
    golden = json.loads((GOLDEN / "kenlm_scores.json").read_text())
    text = "".join(line + "\n" for line in golden["text"])
    vocabulary = with_zero_count_type(build_vocabulary("word", text))
    tokens = vocabulary.encode(text)
    params = estimate(tokens, 3, len(vocabulary), vocabulary.eol_id, prune_counts=(0, 1, 2)).params
    header = (GOLDEN / "kenlm_trigram_pruned.arpa").read_text().split("\n")[1:4]
    assert [f"ngram 1={params.sizes[0] + 1}", *(f"ngram {k}={params.sizes[k - 1]}" for k in (2, 3))] == header
    other = vocabulary.encode("".join(line + "\n" for line in golden["other"]))
    ours = text_log_probs(params, other, vocabulary.eol_id) / math.log(10)
    np.testing.assert_allclose(ours, np.concatenate(golden["kenlm_trigram_pruned"]), atol=1e-5)


def witten_bell(context, word, counts, threshold):
    """From the equations, over dictionaries; n-grams of two words and more that occur `threshold` times are pruned."""
    lower = witten_bell(context[1:], word, counts, threshold) if context else 1 / V
    row = counts[context]
    if not row:
        return lower
    norm = sum(row.values()) + len(row)
    kept = {w: c / norm for w, c in row.items() if c > threshold or not context}
    return kept.get(word, 0) + (1 - sum(kept.values())) * lower


@pytest.mark.parametrize("threshold", [1, 2])
def test_pruned_witten_bell_equals_the_equations(threshold):
    counts = defaultdict(Counter)
    line = ["<s>"]
    for token in TEXT.tolist():
        line.append(token)
        for k in range(1, min(3, len(line)) + 1):
            counts[tuple(line[-k:-1])][token] += 1
        line = ["<s>"] if token == EOL else line
    ours = distributions(make("witten-bell", 3, prune_counts=(0, threshold)))
    expected = [
        [witten_bell(("<s>", *context)[-2:], word, counts, threshold) for word in range(V)] for context in CONTEXTS
    ]
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_katz_keeps_the_probabilities_of_what_stays():
    whole, pruned = (strings(make("katz", prune_counts=thresholds)) for thresholds in ((), (0, 1)))
    for before, after in zip(whole, pruned, strict=True):
        assert {gram: before[gram] for gram in after} == after
    assert sum(map(len, pruned)) < sum(map(len, whole))


def test_stupid_back_off_loses_n_grams_and_no_score():
    whole, pruned = (make("stupid-backoff", 2, prune_counts=thresholds) for thresholds in ((), (0, 2)))
    assert pruned.log_missing == whole.log_missing
    before, after = strings(whole)[1], strings(pruned)[1]
    assert {gram: before[gram] for gram in after} == after
    first, word = next(gram for gram in before if gram not in after and gram[0] != EOL)
    score = np.log(distributions(pruned)[CONTEXTS.index((first,)), word])
    assert score == pytest.approx(math.log(0.4) + whole.log_prob[0][word], rel=1e-6)


def test_thresholds_of_zero_change_nothing():
    whole = make("kneser-ney")
    for same in (make("kneser-ney", prune_counts=(0, 0)), prune_by_entropy(whole, 0.0)):
        for name in BackoffParams._fields[:-1]:
            for array, other in zip(getattr(same, name), getattr(whole, name), strict=True):
                np.testing.assert_array_equal(array, other)


SUFFIXES_MISSING = """
\\data\\
ngram 1=4
ngram 2=2
ngram 3=2
ngram 4=1
\\1-grams:
-99 <s>
-0.5 </s>
-0.3 a -0.1
-0.7 b -0.2
\\2-grams:
-0.4 a b -0.6
-0.9 b b -0.8
\\3-grams:
-0.35 a b a -0.15
-0.25 b b b -0.45
\\4-grams:
-0.05 a b a b
\\end\\
"""


def test_what_the_last_word_has_after_contexts_that_are_missing(tmp_path):
    """a b a b: neither "b a b" nor "b a" is there, so b has P(b | a); a b a: "b a" is not, so a has alpha(b) P(a)."""
    (tmp_path / "a.arpa").write_text(SUFFIXES_MISSING)
    tables = with_suffixes(read_arpa(tmp_path / "a.arpa")[0])
    kept = [np.ones(len(words), bool) for words in tables.words]
    lower = [lower_log_probs(tables, k, kept, tables.log_backoff) / math.log(10) for k in (2, 3, 4)]
    np.testing.assert_allclose(lower[0], [-0.7, -0.7], rtol=1e-6)
    np.testing.assert_allclose(lower[1], [-0.2 - 0.3, -0.9], rtol=1e-6)
    np.testing.assert_allclose(lower[2], [-0.4], rtol=1e-6)
    kept[1][0] = False
    np.testing.assert_allclose(
        lower_log_probs(tables, 4, kept, tables.log_backoff) / math.log(10), [-0.1 - 0.7], rtol=1e-6
    )


def bigrams(log_prob, words, starts, log_backoff):
    return BackoffParams(
        words=(np.arange(3, dtype=np.int32), np.array(words, np.int32)),
        log_prob=(np.log([0.2, 0.5, 0.3]).astype(np.float32), np.log(log_prob).astype(np.float32)),
        log_backoff=(np.log(log_backoff).astype(np.float32),),
        child_start=(np.array(starts, np.int32),),
        log_missing=np.float32(0),
    )


def test_the_cost_of_a_bigram_by_hand():
    """P(</s>, a, b) = 0.2, 0.5, 0.3; after a, b has 0.6, and alpha is 0.4 / 0.7.

    Without "a b", P(. | a) is 0.2, 0.5, 0.3 instead of 0.4/0.7 0.2, 0.4/0.7 0.5, 0.6, and

        D = P(a) (0.6 log(0.6 / 0.3) + 0.4 log((0.4 / 0.7) / 1)) = 0.5 (0.415888 - 0.223846) = 0.096021
    """
    params = bigrams([0.6], [2], [0, 0, 1, 1], [1, 0.4 / 0.7, 1])
    growth = math.expm1(0.5 * (0.6 * math.log(2) + 0.4 * math.log(0.4 / 0.7)))
    assert growth == pytest.approx(0.100782, abs=1e-6)
    assert prune_by_entropy(params, growth - 1e-6).sizes == [3, 1]
    pruned = prune_by_entropy(params, growth + 1e-6)
    assert pruned.sizes == [3, 0]
    assert pruned.log_backoff[0].tolist() == [0, 0, 0]


def brute_force_costs(params):
    """{n-gram: D} of orders 2 and 3, from whole distributions: the tables with one n-gram less, normalised anew."""
    orders = strings(params)
    table = {gram: p for order in orders for gram, p in order.items()}
    weights = {}
    for k, log_backoff in enumerate(params.log_backoff):
        weights |= dict(zip(orders[k], log_backoff.tolist(), strict=False))

    def prob(context, word, table, weights):
        if (*context, word) in table:
            return math.exp(table[(*context, word)])
        return math.exp(weights.get(context, 0)) * prob(context[1:], word, table, weights)

    costs = {}
    for gram in (gram for order in orders[1:] for gram in order):
        context, without = gram[:-1], {g: p for g, p in table.items() if g != gram}
        lower = [prob(context[1:], word, table, weights) for word in range(V)]
        seen = [(*context, word) in without for word in range(V)]
        mass = 1 - sum(math.exp(without[(*context, word)]) for word in range(V) if seen[word])
        alpha = mass / sum(q for word, q in enumerate(lower) if not seen[word])
        new = [math.exp(without[(*context, word)]) if seen[word] else alpha * lower[word] for word in range(V)]
        old = [prob(context, word, table, weights) for word in range(V)]
        p_context = math.exp(sum(table[context[: i + 1]] for i in range(len(context))))
        costs[gram] = p_context * sum(p * math.log(p / q) for p, q in zip(old, new, strict=True))
    return costs


@pytest.mark.parametrize("method", ["modified-kneser-ney", "katz", "add-k"])
def test_what_stays_is_what_the_definition_says(method):
    """Brute force: an n-gram stays if its relative entropy is large enough, or something that stays begins with it."""
    params = make(method)
    costs = brute_force_costs(params)
    ranked = sorted(cost for cost in costs.values())
    gaps = [(low, high) for low, high in itertools.pairwise(ranked) if high > 1.01 * low > 1e-7]
    for low, high in gaps[:: max(1, len(gaps) // 12)]:
        threshold = math.expm1((low + high) / 2)
        pruned = strings(prune_by_entropy(params, threshold))
        for k in (3, 2):
            longer = {gram[:k] for gram in pruned[k]} if k < 3 else set()
            large = {gram for gram, cost in costs.items() if len(gram) == k and math.expm1(cost) >= threshold}
            assert set(pruned[k - 1]) == large | longer


@pytest.mark.parametrize("method", DISTRIBUTIONS)
def test_more_pruning_leaves_less_and_little_pruning_costs_little(method):
    params = make(method, 4)
    models = [params, *(prune_by_entropy(params, threshold) for threshold in (1e-5, 1e-4, 1e-3, 1e-2, 1e9))]
    sizes = [sum(model.sizes) for model in models]
    assert sizes == sorted(sizes, reverse=True)
    assert models[-1].sizes == [V, 0, 0, 0]
    np.testing.assert_allclose(distributions(models[-1]), np.exp([params.log_prob[0]] * len(CONTEXTS)), rtol=1e-6)
    assert perplexity(models[1]) < 1.02 * perplexity(params)


def test_pruning_by_count_leaves_less_and_costs_little():
    whole, pruned = make("modified-kneser-ney", 4), make("modified-kneser-ney", 4, prune_counts=(0, 0, 1))
    assert pruned.sizes[:2] == whole.sizes[:2]
    assert pruned.sizes[2] < whole.sizes[2] and pruned.sizes[3] < whole.sizes[3] / 2
    assert perplexity(pruned) < 1.02 * perplexity(whole)


@pytest.mark.parametrize(
    ("thresholds", "method", "message"),
    [
        ((1, 1), "katz", "begin with 0, such as 0 0 1, got 1 1"),
        ((0, 2, 1), "katz", "never fall and begin with 0, such as 0 0 1, got 0 2 1"),
        ((0, -1), "katz", "must be whole numbers"),
        ((0, 0.5), "katz", "must be whole numbers"),
        ((0, 0, 0, 1), "katz", "one threshold for each of the orders 1 to 3, got .0, 0, 0, 1."),
        ((0, 1), "maximum-likelihood", "maximum-likelihood does not, got .0, 1."),
    ],
)
def test_bad_thresholds_of_counts(thresholds, method, message):
    with pytest.raises(UserError, match=message):
        make(method, prune_counts=thresholds)


def test_bad_requests_of_pruning_by_entropy():
    for threshold in (-1e-9, math.nan, math.inf):
        with pytest.raises(UserError, match=f"must be a number of at least 0, got {threshold}"):
            prune_by_entropy(make("katz"), threshold)
    with pytest.raises(UserError, match=r"but a context that was never seen backs off with weight 0.4"):
        prune_by_entropy(make("stupid-backoff"), 1e-3)
    with pytest.raises(UserError, match="but there is a probability of 0 among the 1-grams"):
        prune_by_entropy(make("maximum-likelihood"), 1e-3)
