"""Many runs on exactly the same text: a row each, with intervals, and a paired test against the row above.

A perplexity is per token, so it compares only where the tokens are the same. Runs with different vocabularies get
none; what compares then are bits per character of the text, as far as the tokens of a run spell it out.
"""

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lm_jax.data.corpora import as_bytes, check_split
from lm_jax.errors import UserError, check_sizes
from lm_jax.inference.comparison import bootstrap_ratio, paired_test
from lm_jax.inference.likelihood import perplexity
from lm_jax.runs import mixed
from lm_jax.runs.agreement import ReadRun, agreed_streams, agreed_text
from lm_jax.runs.facts import refuse_unscorable, run_facts
from lm_jax.runs.folder import read_run
from lm_jax.runs.load import load
from lm_jax.runs.mixed import Mixture
from lm_jax.runs.scored import score_text


FEWEST_SAMPLES = 100
LN2 = math.log(2)


def compare(
    runs: Sequence[str | Path],
    data: str | None = None,
    split: str = "test",
    *,
    mixture: bool | Sequence[Mixture] = False,
    cache: int | None = None,
    eval_streams: int | None = None,
    samples: int = 2000,
    seed: int = 0,
    sort: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """A row for each run, in the order given or by bits per character (`sort`), of one split of one text.

    data: a text as of `evaluate`; by default the runs' own, which must be one and the same. mixture: one more row, the
    mixture of all the runs (and of a unigram cache of `cache` tokens, if given), with weights that are fitted on the
    validation split of the same data; or a list, a row for each `Mixture` in it. eval_streams: by default the runs'
    own number. samples, seed: of the bootstrap and the test (lm_jax/inference/comparison.py).

    A row: name, run, mode, family, parameters or ngrams (the other is None), bytes (on disk, of the best parameters
    or the tables, with settings and vocabulary), training_seconds (None if not recorded), weights; source, split;
    level, vocabulary (types), eval_streams, tokens, characters; cross_entropy (nats per token) and perplexity with
    _low and _high (95 %), all None where the vocabularies differ; bits_per_character with _low and _high,
    bits_per_byte; unk_rate, spelled, impossible (tokens of probability 0, which make a perplexity infinite),
    tokens_per_second (compiling apart); blocks, block_size, block_unit, samples, seed; difference from the row above
    with _low and _high in difference_unit (nats per token or bits per character; below 0: this row is better) and
    p_value, None where the two do not compare. A run may be given twice: its difference is 0. The row of a mixture has
    the sums of its runs' parameters, ngrams, bytes and training_seconds, weights by name, and None for its run;
    weights is None in the others.

    Raises UserError for what is no run, a split or number that cannot be, runs of different texts without `data` or of
    different eval_streams, scores that are not probabilities, a text that a vocabulary cannot encode, and a mixture
    that cannot be (lm_jax/runs/mixed.py), such as on another split than the test split.
    """
    _check_request(runs, split, eval_streams, samples, seed)
    mixtures = mixed.requested(mixture, cache)
    read = [ReadRun(str(run), *read_run(run)) for run in runs]
    for one in read:
        refuse_unscorable(one.run, one.config, one.record, data)
    chosen = [mixed.members(one, read, split) for one in mixtures]
    streams = agreed_streams(read) if eval_streams is None else eval_streams
    source, text = agreed_text(read, data, split)
    encoded = [_encode(one, text) for one in read]
    held_out = [_encode(read[places[0]], agreed_text(read, data, "valid")[1]) for places in chosen]
    loaded = [load(one.run) for one in read]
    share = functools.partial(_share_of, progress, len(read) + len(mixtures))
    pairs = []
    names = _names([one.run for one in read])
    for name, one, model, tokens in zip(names, read, loaded, encoded, strict=True):
        facts = {"name": name, "run": one.run, "mode": one.config.mode, **run_facts(one.run, one.config, model.params)}
        pairs.append((facts, _score(facts, model, tokens, text, streams, share(len(pairs)))))
    for one, places, tokens in zip(mixtures, chosen, held_out, strict=True):
        model, facts = mixed.fit(one, [(read[i], loaded[i], pairs[i][0]) for i in places], tokens, streams)
        pairs.append((facts, _score(facts, model, encoded[places[0]], text, streams, share(len(pairs)))))
    if progress is not None:
        progress(1, 1)
    if sort:
        pairs.sort(key=lambda pair: pair[1].nats.sum())
    shared = {"source": source, "split": split, "samples": samples, "seed": seed}
    return _rows(pairs, shared, len(as_bytes(text)))


def _check_request(runs, split, eval_streams, samples, seed):
    if isinstance(runs, str | Path) or not runs:
        raise UserError(f"a comparison needs a list of at least one run folder, got {runs!r}")
    check_split(split)
    if eval_streams is not None:
        check_sizes(eval_streams=eval_streams)
    check_sizes(samples=samples)
    if samples < FEWEST_SAMPLES:
        raise UserError(f"samples must be at least {FEWEST_SAMPLES} for the tails of an interval, got {samples}")
    if not isinstance(seed, int) or seed < 0:
        raise UserError(f"seed must be a whole number of at least 0, got {seed!r}")


def _encode(one, text):
    try:
        return one.vocabulary.encode(text)
    except UserError as error:
        raise UserError(f"{error} ({one.run})") from error


def _score(facts, loaded, tokens, text, streams, progress):
    scored = score_text(loaded, tokens, text, streams, facts["mode"], progress)
    if np.isnan(scored.nats).any():
        raise UserError(f"log-probabilities must be numbers, got nan from {facts['run'] or facts['name']}")
    return scored


def _share_of(progress, models, number):
    """The progress of one model of many as that of all."""
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, models * total)


def _rows(pairs, shared, bytes_of_text):
    samples, seed = shared["samples"], shared["seed"]
    same = len({score.predicts for _, score in pairs}) == 1
    rows, above = [], None
    for facts, score in pairs:
        scores = _scores(score, bytes_of_text, same, samples, seed)
        rows.append(facts | shared | scores | _difference(score, above, same, samples, seed))
        above = score
    return rows


def _names(runs):
    """The last part of each path; the whole path where two different runs share it."""
    folders = [Path(run).resolve() for run in runs]
    last = [folder.name for folder in set(folders)]
    return [run if last.count(f.name) > 1 else f.name for run, f in zip(runs, folders, strict=True)]


def _scores(score, bytes_of_text, same, samples, seed):
    nats = bootstrap_ratio(score.nats, score.tokens, samples, seed)
    bits = bootstrap_ratio(score.nats / LN2, score.characters, samples, seed)
    perplexities = map(perplexity, nats)
    ends = ("", "_low", "_high")
    return {
        "level": score.level,
        "vocabulary": score.vocabulary,
        "eval_streams": score.eval_streams,
        "tokens": int(score.tokens.sum()),
        "characters": round(score.characters.sum()),
        **{f"cross_entropy{end}": x if same else None for end, x in zip(ends, nats, strict=True)},
        **{f"perplexity{end}": x if same else None for end, x in zip(ends, perplexities, strict=True)},
        **{f"bits_per_character{end}": x for end, x in zip(ends, bits, strict=True)},
        "bits_per_byte": float(score.nats.sum() / LN2 / bytes_of_text),
        "unk_rate": score.unk_rate,
        "spelled": score.spelled,
        "impossible": score.impossible,
        "tokens_per_second": float(score.tokens.sum() / score.seconds),
        "blocks": len(score.nats),
        "block_size": score.blocks.size,
        "block_unit": score.blocks.unit,
    }


def _difference(score, above, same, samples, seed):
    """The paired test against the row above: per token of the same tokens, else per character of the same lines."""
    unit = "nats per token" if same else "bits per character"
    names = ("difference", "difference_low", "difference_high", "p_value")
    test = (None,) * 4
    if above is not None and not score.impossible and not above.impossible:
        if same:
            test = paired_test(score.nats, above.nats, score.tokens, samples, seed)
        elif score.spelled and above.spelled and score.blocks.unit == above.blocks.unit == "line":
            test = paired_test(score.nats / LN2, above.nats / LN2, score.characters, samples, seed)
    return {"difference_unit": unit, **dict(zip(names, test, strict=True))}
