"""How much noise may there be in speech, for a decoder with attention and for CTC over the same encoder?

    python experiments/tasks/speech.py     4 minutes of processor time, 20 on a busy machine

Strings of one to six digits, spoken by voices made of tones and noise (spoken_digits.py), as log-mel features, go
through one bidirectional network, stacked four frames in one. Two outputs read it, trained together in noise of -15 to
20 dB: a conditional language model with additive attention, and a softmax with a blank at every step (connectionist
temporal classification). Both are asked for the same test strings in the same noise. The signal-to-noise ratio is that
of the whole string, pauses included; the noise is white. An error is a digit changed, left out or put in, and the rate
is over the digits that were spoken: who never answers has 100 %. How both are trained is one file, speech_task.py.

Expected: below 2 % of errors for both from 5 dB upwards, since a mel band averages over the noise, and half of the
digits wrong near -10 dB. In quiet the two are within a point of each other. In loud noise CTC leaves digits out, as a
blank is its safe answer, while attention goes on to write likely strings of wrong digits. Attention reads each digit
where it is spoken.
"""

import argparse
from typing import Any

import numpy as np

import lm_jax
from experiments.harness import Findings, Study, integer
from experiments.harness.figures import finish, panels
from experiments.harness.rows import where
from experiments.harness.runs import lines_of, trained
from experiments.tasks.speech_task import END, FEATURES, SPEECH, Recogniser, SpeechConfig, features
from experiments.tasks.spoken_digits import RATE, Strings, draw_strings, with_noise
from lm_jax.inference.edit_distance import count_edits
from lm_jax.inference.translation import alignment
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES
from lm_jax.tasks import TASKS
from lm_jax.training import Validation


STUDY = Study(__doc__, __file__, "Spoken digits in noise, by attention and by CTC", {"--seed": integer(0)})
LEVELS = (-15, -10, -5, 0, 5, 10, 15, 20)  # signal-to-noise ratios, in dB
SEARCHES = {
    "attention, greedy": lambda asked, sources: asked.by_attention(sources, 1),
    "attention, beam 5": lambda asked, sources: asked.by_attention(sources, 5),
    "CTC, best path": lambda asked, sources: asked.by_ctc(sources),
    "CTC, beam 8": lambda asked, sources: asked.by_ctc(sources, 8),
}
ATTENTION, CTC = "attention, beam 5", "CTC, beam 8"
WITHOUT_BEAM = {ATTENTION: "attention, greedy", CTC: "CTC, best path"}
COLOURS = dict(zip((ATTENTION, CTC), SERIES, strict=False))
SMOKE = {"strings": 16, "hidden_size": 8, "steps": 4, "log_every": 2}
DRAWN = 10  # the level of the picture of attention, in dB
RESAMPLES = 1000


class Progress(lm_jax.Listener):
    """Prints one line a validation."""

    def on_validation(self, validation: Validation) -> None:
        """Prints the error rates."""
        print(f"  step {validation.step:,}: {validation.score.words}", flush=True)


def settings(arguments: argparse.Namespace) -> SpeechConfig:
    """Of the one recogniser."""
    return SpeechConfig(seed=arguments.seed, **(SMOKE if arguments.smoke else {"epochs": 15, "log_every": 25}))


def measure(asked: Recogniser, test: Strings, levels) -> list[dict[str, Any]]:
    """The errors of every search at every level, and how both outputs differ, with 95 % of resampled strings."""
    lengths, rows = np.array([len(digits) for digits in test.digits]), []
    resampled = np.random.default_rng(5).integers(0, len(lengths), (RESAMPLES, len(lengths)))
    for level in levels:
        sources = features(test.signals, np.full(len(lengths), level), np.random.default_rng(100 + level))
        distances = {}
        for name, search in SEARCHES.items():
            pairs = zip(test.digits, search(asked, sources), strict=True)
            edits = np.array([count_edits(digits, found) for digits, found in pairs])
            distances[name] = edits.sum(axis=1)
            kinds = ("changed", "left out", "put in")
            shares = dict(zip(kinds, (edits.sum(axis=0) / lengths.sum()).tolist(), strict=True))
            rows.append({"dB": level, "search": name, **rate_of(distances[name], lengths, resampled), **shares})
        difference = distances[ATTENTION] - distances[CTC]
        rows.append({"dB": level, "search": "attention less CTC", **rate_of(difference, lengths, resampled)})
        found = [f"{row['search']} {row['error rate']:.1%}" for row in where(rows, dB=level)]
        print(f"  {level} dB: {', '.join(found)}", flush=True)
    return rows


def rate_of(edits: np.ndarray, lengths: np.ndarray, resampled: np.ndarray) -> dict[str, float]:
    """Edits over digits, and the middle 95 % of the same over resampled strings."""
    rates = edits[resampled].sum(axis=1) / lengths[resampled].sum(axis=1)
    low, high = np.quantile(rates, (0.025, 0.975))
    return {"error rate": float(edits.sum() / lengths.sum()), "low": float(low), "high": float(high)}


def weights_of(asked: Recogniser, source: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """The weights of attention [L, S'] while a string is written."""
    target = np.append(digits + 1, END)
    return alignment(asked.model.translator, asked.params.translator, source, target, END)[:-1]


def read_in_place(asked: Recogniser, test: Strings, stack: int) -> float:
    """The share of digits whose largest weight lies in their own word, or one step of the encoder beside it, at the
    highest level."""
    level = max(LEVELS)
    sources = features(test.signals, np.full(len(test.signals), level), np.random.default_rng(100 + level))
    step, inside = stack * FEATURES.hop / RATE, []
    for source, digits, words in zip(sources, test.digits, test.words, strict=True):
        peaks = weights_of(asked, source, digits).argmax(axis=1) * step + 0.5 * (step + FEATURES.frame / RATE)
        inside += ((peaks >= words[:, 0] - step) & (peaks <= words[:, 1] + step)).tolist()
    return float(np.mean(inside))


def draw_attention(asked: Recogniser, test: Strings, stack: int, share: float):
    """The features of a test string, and below them where each of its digits was read."""
    chosen = max(range(len(test.digits)), key=lambda k: len(set(test.digits[k].tolist())))
    signal, digits, words = test.signals[chosen], test.digits[chosen], test.words[chosen]
    (source,) = features([signal], np.array([DRAWN]), np.random.default_rng(DRAWN))
    heard = np.asarray(FEATURES.extract(with_noise(signal, DRAWN, np.random.default_rng(DRAWN))))  # the same noise
    weights, hop, half = weights_of(asked, source, digits), FEATURES.hop / RATE, FEATURES.frame / RATE / 2
    figure, (above, below) = panels((8.0, 5.4), 2, 1, sharex=True)
    times = half + hop * (np.arange(len(heard) + 1) - 0.5)
    bands = np.arange(len(FEATURES.centres) + 1) - 0.5
    image = above.pcolormesh(times, bands, heard.T, cmap="magma", rasterized=True)
    figure.colorbar(image, ax=above, label="log energy")
    ticks = range(3, len(FEATURES.centres), 7)
    above.set_yticks(list(ticks), [f"{FEATURES.centres[k] / 1000:.1f}" for k in ticks])
    title = f"{share:.0%} of digits are read within their own word (±{1000 * stack * hop:.0f} ms)"
    above.set_title(title, loc="left")
    above.set_ylabel("centre of the mel band (kHz)")
    steps = times[0] + stack * hop * np.arange(weights.shape[1] + 1)
    image = below.pcolormesh(steps, np.arange(len(digits) + 1) - 0.5, weights, cmap="viridis", vmin=0, rasterized=True)
    figure.colorbar(image, ax=below, label="weight of attention")
    for k, (begin, end) in enumerate(words):
        below.plot([begin, end, end, begin, begin], np.array([-0.5, -0.5, 0.5, 0.5, -0.5]) + k, color="white", lw=1)
    below.set_yticks(range(len(digits)), [str(digit) for digit in digits])
    below.invert_yaxis()
    below.set_xlim(times[0], times[-1])
    below.set_xlabel("time (s)")
    below.set_ylabel("digit that is written")
    return figure


def draw_errors(rows: list[dict[str, Any]]):
    """Digit error rate against the signal-to-noise ratio; and which errors they are where there are most."""
    figure, (rates, kinds) = panels((10.0, 4.2), 1, 2)
    ends = []
    for name, colour in COLOURS.items():
        found, without_beam = where(rows, search=name), where(rows, search=WITHOUT_BEAM[name])
        levels = [row["dB"] for row in found]
        rate, low, high = ([100 * row[field] for row in found] for field in ("error rate", "low", "high"))
        rates.plot(levels, rate, "o-", color=colour, markersize=4)
        rates.fill_between(levels, low, high, color=colour, alpha=0.2, linewidth=0)
        rates.plot(levels, [100 * row["error rate"] for row in without_beam], ":", color=colour)
        ends.append((levels[-1], rate[-1], name.partition(",")[0], colour))
    rates.set_yscale("symlog", linthresh=1)
    rates.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    rates.set_ylim(0, 100)
    words = {"xlabel": "signal-to-noise ratio (dB)"}
    finish(rates, ends, better(rows), ylabel="digit error rate (%), linear below 1 %", **words)
    finish(kinds, (), draw_kinds(kinds, rows), ylabel="share of the spoken digits (%)", **words)
    return figure


def draw_kinds(axes: Any, rows: list[dict[str, Any]]) -> str:
    """Bars of errors of the three loudest noises, and what they say of the loudest."""
    levels = sorted({row["dB"] for row in rows})[:3]
    for side, (name, colour) in zip((-1, 1), COLOURS.items(), strict=True):
        found, bottom = where(rows, search=name)[: len(levels)], np.zeros(len(levels))
        places = np.arange(len(levels)) + 0.2 * side
        for kind, alpha in {"changed": 1.0, "left out": 0.55, "put in": 0.25}.items():
            heights = np.array([100 * row[kind] for row in found])
            axes.bar(places, heights, 0.36, bottom=bottom, color=colour, alpha=alpha)
            if heights[0] > 4:
                at = places[0], bottom[0] + heights[0] / 2
                axes.annotate(kind, at, ha="center", va="center", fontsize=8, color="white" if alpha == 1 else "black")
            bottom += heights
        axes.annotate(name.partition(",")[0], (places[0], bottom[0] + 1), ha="center", fontsize=8.5, color=colour)
    axes.set_xticks(range(len(levels)), [str(level) for level in levels])
    attention, ctc = (where(rows, search=name)[0] for name in COLOURS)
    return f"Left out at {levels[0]} dB: attention {attention['left out']:.0%}, CTC {ctc['left out']:.0%}"


def better(rows: list[dict[str, Any]]) -> str:
    """The levels at which one has fewer errors than the other in over 95 % of the resampled strings."""
    differences = where(rows, search="attention less CTC")
    wins = {"attention": [row["dB"] for row in differences if row["high"] < 0]}
    wins["CTC"] = [row["dB"] for row in differences if row["low"] > 0]
    texts = [f"{name} at {', '.join(map(str, levels))}" for name, levels in wins.items() if levels]
    return f"Fewer errors: {'; '.join(texts) or 'none'} dB"


def rate_text(rows, search: str, level: int) -> str:
    """An error rate with its interval."""
    (row,) = where(rows, search=search, dB=level)
    return f"{row['error rate']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"


def run(arguments: argparse.Namespace) -> Findings:
    """Trains the recogniser, and asks both of its outputs."""
    TASKS[SpeechConfig.task] = SPEECH  # so that a run folder can name it
    config = settings(arguments)
    trained_run = trained(config, arguments.runs / f"speech-{arguments.seed}", Progress())
    asked, stack = Recogniser(trained_run.model, trained_run.params), config.stack
    levels = (-15, 20) if arguments.smoke else LEVELS
    test = draw_strings(4 if arguments.smoke else 300, 3)
    rows, share = measure(asked, test, levels), read_in_place(asked, test, stack)
    texts = [f"{rate_text(rows, ATTENTION, level)} and {rate_text(rows, CTC, level)} at {level} dB" for level in levels]
    (attention,), (ctc,) = (where(rows, search=name, dB=levels[0]) for name in (ATTENTION, CTC))
    spoken = sum(map(len, test.digits))
    return Findings(
        answer=f"Digit error rate of attention and of CTC: {'; '.join(texts)}. At {levels[0]} dB attention changes "
        f"{attention['changed']:.1%}, leaves out {attention['left out']:.1%} and puts in {attention['put in']:.1%}, "
        f"CTC {ctc['changed']:.1%}, {ctc['left out']:.1%} and {ctc['put in']:.1%}. In quiet {share:.1%} of digits are "
        f"read within their own word or {1000 * stack * FEATURES.hop // RATE} ms beside it.",
        results={
            "strings": len(test.digits),
            "digits": spoken,
            "rows": rows,
            "read in place": share,
            "parameters": trained_run.results["parameters"],
            "seconds of training on a busy machine": trained_run.results["seconds"],
            "validation": [line for line in lines_of(trained_run.folder) if "valid_loss" in line],
        },
        rows=rows,
        pictures=[
            Picture(
                "errors",
                draw_errors(rows),
                f"Errors over the {spoken} digits of {len(test.digits)} test strings, one seed; bands: 95 % of "
                "resampled strings; dotted: without a beam. To the right which errors they are: digits changed, left "
                "out and, palest, put in.",
            ),
            Picture(
                "attention",
                draw_attention(asked, test, stack, share),
                f"Above, the log-mel features of a test string at {DRAWN} dB; below, where the decoder looked as it "
                "wrote each digit, with the word itself in a frame. The share is that of all test strings at "
                f"{max(LEVELS)} dB.",
            ),
        ],
        seeds=[arguments.seed],
    )


if __name__ == "__main__":
    STUDY.main(run)
