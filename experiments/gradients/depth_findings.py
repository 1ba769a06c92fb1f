"""What the networks of depth.py say."""

import math
from typing import Any

import numpy as np

from experiments.gradients.depth_figures import CONNECTIONS, INITS, KINDS, draw_losses, draw_norms
from experiments.harness import Findings, Verdict
from experiments.harness.means import INTERVAL, means, with_interval
from experiments.harness.rows import only, where
from lm_jax.report.study import Picture


NOTHING, ALIKE, AS_WELL, LEARNED = 1e-10, 100, 0.1, 0.2  # shares of the gradient, a factor, nats
COLUMNS = {
    "kind": "of layers",
    "connection": "what a layer hands on, beside or instead of what it computes",
    "depth": "layers",
    "init": "how weights begin: uniform on +-1/sqrt(inputs), or orthogonal",
    "seed": "of the draw of weights and batches",
    "n": "networks",
    "first_to_last": "norm of the gradient by the first layer's output, relative to the last, before training"
    + INTERVAL,
    "valid_loss": "loss on held-out text after training (nats per character)",
}


def to_rows(found) -> list[dict[str, Any]]:
    """A line a network and seed."""
    return [
        {
            **only(part, ("kind", "connection", "depth", "init")),
            "seed": seed,
            "first_to_last": math.exp(logs[0] - logs[-1]),
            "valid_loss": final,
        }
        for part in found
        for seed, (logs, final) in enumerate(zip(part["log_norms"], part["valid_loss"], strict=True))
    ]


def findings(results: dict[str, Any]) -> Findings:
    """What the networks say."""
    found, unigram = results["networks"], results["unigram_loss"]
    depths, rows = sorted({part["depth"] for part in found}), to_rows(found)
    deepest, seeds = where(rows, depth=depths[-1]), len(found[0]["valid_loss"])
    lost = max(row["first_to_last"] for row in where(deepest, connection="plain", init="uniform"))
    kept = min(row["first_to_last"] for row in where(deepest, connection="residual", init="uniform"))
    able = [connection for connection in CONNECTIONS if learns(deepest, connection, unigram)]
    title = f"In depth the gradient vanishes too: the first of {depths[-1]} plain layers gets {lost:.0e} of it"
    learned = f"Of networks of {depths[-1]} layers those with {' and '.join(able) or 'no'} connections learn"
    over = f"mean and range of {seeds} seeds."
    pictures = [
        Picture("gradients", draw_norms(found, depths[-1], title), f"At initialisation; {over}"),
        Picture(
            "losses",
            draw_losses(found, depths, unigram, learned),
            f"After {results.get('steps', 400)} steps; {over} Dotted: unigrams.",
        ),
    ]
    return Findings(
        title=title,
        answer=f"With common weights the first of {depths[-1]} plain layers gets at most {lost:.0e} of the last one's "
        f"gradient; with residual connections {kept:.0f} times as much.",
        verdicts=verdicts(rows, depths, unigram),
        means=means(
            [row for row in rows if row["depth"] in (depths[0], depths[-1])],
            ("kind", "init", "connection", "depth"),
            {"first_to_last": geometric, "valid_loss": with_interval},
        ),
        rows=rows,
        columns=COLUMNS,
        pictures=pictures,
        seeds=range(seeds),
    )


def geometric(values) -> str:
    """The geometric mean with the range."""
    middle = math.exp(np.mean(np.log(values)))
    return f"{middle:.1e} [{min(values):.1e}, {max(values):.1e}]" if len(values) > 1 else f"{middle:.1e}"


def learns(deepest, connection: str, unigram: float) -> bool:
    """Whether networks of either kind, of common weights, come well below the unigram loss."""
    own = where(deepest, connection=connection, init=INITS[0])
    return all(np.mean([r["valid_loss"] for r in where(own, kind=kind)]) < unigram - LEARNED for kind in KINDS)


def verdicts(rows, depths, unigram: float) -> list[Verdict]:
    """The parts of the expectation, in the deepest networks; common weights are those that start uniform."""
    deepest = where(rows, depth=depths[-1], init=INITS[0])
    ratios = {c: [r["first_to_last"] for r in where(deepest, connection=c)] for c in CONNECTIONS}
    plain, orthogonal = (
        {
            kind: [r["first_to_last"] for r in where(rows, depth=depths[-1], connection="plain", init=i, kind=kind)]
            for kind in KINDS
        }
        for i in INITS
    )
    lost = [row["valid_loss"] for row in where(deepest, connection="plain")]
    put_off = all(min(orthogonal[kind]) > max(plain[kind]) for kind in KINDS)
    parts = [
        Verdict(
            f"plain: the first of the layers gets next to nothing (under {NOTHING:.0e})",
            f"{min(ratios['plain']):.1e} to {max(ratios['plain']):.1e}",
            max(ratios["plain"]) < NOTHING,
        ),
        Verdict(
            "plain: deep networks do not learn (no better than unigrams)",
            f"{min(lost):.2f} to {max(lost):.2f} nats, unigrams {unigram:.2f}",
            min(lost) > unigram,
        ),
        Verdict(
            "orthogonal weights put that off (more gradient left, both kinds)",
            f"{min(map(min, orthogonal.values())):.1e} at least",
            put_off,
        ),
    ]
    for connection in list(CONNECTIONS)[1:]:
        least, most = min(ratios[connection]), max(ratios[connection])
        parts.append(
            Verdict(
                f"{connection}: the gradient is much the same at every layer (within a factor of {ALIKE})",
                f"{least:.2g} to {most:.2g} of the last layer's",
                least > 1 / ALIKE and most < ALIKE,
            )
        )
    return parts + [deep_against_few(rows, depths, connection) for connection in list(CONNECTIONS)[1:]]


def deep_against_few(rows, depths, connection: str) -> Verdict:
    """Whether the deepest networks of a connection learn as well as the shallowest."""
    own = where(rows, connection=connection, init=INITS[0])
    more = [
        float(np.mean([r["valid_loss"] for r in where(own, kind=kind, depth=depths[-1])]))
        - float(np.mean([r["valid_loss"] for r in where(own, kind=kind, depth=depths[0])]))
        for kind in KINDS
    ]
    return Verdict(
        f"{connection}: {depths[-1]} layers learn as well as {depths[0]} (loss at most {AS_WELL} nats higher)",
        f"{more[0]:+.2f} and {more[1]:+.2f} nats ({' and '.join(KINDS)})",
        max(more) <= AS_WELL,
    )
