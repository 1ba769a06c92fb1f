"""Lag profiles in words and numbers: the sentence that answers, the table of the terminal, the rows of a CSV."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lm_jax.analysis.lag_profile import LagProfile
from lm_jax.analysis.trajectory import main_leaf
from lm_jax.report.figures import UNITS
from lm_jax.report.lag_figure import lag_figure
from lm_jax.report.study import Picture, Record, versions, write_study
from lm_jax.report.table import Table


HEAD = ("layer", "leaf", "half-life", "<10 %", "<1 %", "95 % mass", "x/step 1-20", "x/step 20-60", "values")
SHARE = "share of the gradient that is left, relative to lag 0 (h) or lag 1 (other leaves)"
COLUMNS = {
    "layer": "0 is nearest to the input",
    "leaf": "part of the carry that the gradient is taken with respect to",
    "lag": "steps back",
    "values": "predictions at this lag",
    "median": f"{SHARE}: median over predictions",
    "band_low": "lower end of the median's 95 % band, texts being resampled",
    "band_high": "upper end of that band",
    "quantile_0.25": "the same share: a quarter of the predictions are below it",
    "quantile_0.75": "three quarters of the predictions are below it",
    "mean": "the same share: mean over predictions",
    "log_median": "natural logarithm of the median, which does not underflow",
    "half_life": "lag at which the median falls below a half",
    "below_0.1": "lag at which the median falls below 10 %",
    "below_0.01": "lag at which the median falls below 1 %",
    "mass_lag_0.95": "lag within which 95 % of the gradient norm lies",
    "factor_1_20": "what a step back multiplies the median by, lags 1 to 20",
    "factor_20_60": "the same, lags 20 to 60",
}
DROP = ("values", "x/step 20-60", "x/step 1-20", "95 % mass")  # of a narrow terminal, the first to go first


def answer(profile: LagProfile, level: str, leaf: str = "h") -> str:
    """Says in one sentence how far a gradient reaches.

    Args:
        profile: Shares by lag, of h measured against the output, of others against lag 1.
        level: What a token is.
        leaf: The name of the leaf.
    """
    below_ten, below_one, last = profile.horizons[0.1], profile.horizons[0.01], int(profile.lags[-1])
    size = f"10 % of its size {'at the output' if leaf == 'h' else 'one step back'}"
    if below_ten is None:
        return f"A gradient stays above {size} over all {_count(last, level)} back that were measured."
    fallen = f"A gradient falls below {size} after {_count(below_ten, level)}"
    if below_one is None:
        return f"{fallen}, and stays above 1 % over all {_count(last, level)} back that were measured."
    return f"{fallen}, below 1 % after {below_one:,}."


def _count(number, level):
    return f"{number:,} {UNITS[level]}{'s' * (number != 1)}"


def table(profiles: Sequence[dict[str, LagProfile]]) -> Table:
    """Returns a row for each layer (0 is nearest to the input) and leaf of its carry.

    half-life, <10 %, <1 %: the lag at which the median falls below; 95 % mass: the lag within which 95 % of the norm
    lies; x/step: what a step back multiplies by, over these lags; values: at the first lag and at the last.
    """
    lines: list[tuple[str, ...]] = []
    for layer, leaves in enumerate(profiles):
        for leaf, profile in leaves.items():
            last = f">{profile.lags[-1]}"
            lags = [profile.half_life, profile.horizons[0.1], profile.horizons[0.01]]
            cells = [last if lag is None else f"{lag}" for lag in lags]
            cells += ["-" if profile.mass_lag is None else f"{profile.mass_lag}"]
            cells += ["-" if factor is None else f"{factor:.3f}" for factor in profile.factors.values()]
            lines.append((f"{layer}", leaf, *cells, f"{profile.counts[0]:,} to {profile.counts[-1]:,}"))
    return Table(HEAD, tuple(lines), words=2, drop=DROP)


def summaries(profiles: Sequence[dict[str, LagProfile]]) -> list[dict[str, Any]]:
    """Returns the table as numbers, a row for each layer and leaf; None where a threshold was not reached."""
    return [
        {
            "layer": layer,
            "leaf": leaf,
            "half_life": profile.half_life,
            **{f"below_{threshold:g}": lag for threshold, lag in profile.horizons.items()},
            "mass_lag_0.95": profile.mass_lag,
            **{f"factor_{start}_{stop}": factor for (start, stop), factor in profile.factors.items()},
        }
        for layer, leaves in enumerate(profiles)
        for leaf, profile in leaves.items()
    ]


def lag_rows(profiles: Sequence[dict[str, LagProfile]]) -> list[dict[str, Any]]:
    """Returns a row for each layer, leaf and lag: values, median, its 95 % band over texts (None for one text),
    quantiles and mean of the share that is left, and the natural log of the median, which does not underflow."""
    rows = []
    for layer, leaves in enumerate(profiles):
        for leaf, profile in leaves.items():
            columns = {"median": profile.log_median}
            if profile.log_band is not None:
                columns |= dict(zip(("band_low", "band_high"), profile.log_band, strict=True))
            columns |= {f"quantile_{share:g}": logs for share, logs in profile.log_quantiles.items()}
            columns |= {"mean": profile.log_mean}
            for k, lag in enumerate(profile.lags):
                row = {"layer": layer, "leaf": leaf, "lag": int(lag), "values": int(profile.counts[k])}
                row |= {name: float(np.exp(logs[k])) for name, logs in columns.items()}
                rows.append({**row, "log_median": float(profile.log_median[k])})
    return rows


def write_profiles(
    folder: Path,
    profiles: Sequence[dict[str, LagProfile]],
    *,
    layer: int,
    level: str,
    record: dict[str, Any],
    command: str,
) -> list[Path]:
    """Writes gradients.json, gradients.csv, lag_profile.png and report.html, and returns their paths.

    Args:
        folder: Where to write.
        profiles: Of each layer, the profile of each leaf by its name.
        layer: The layer of the picture and the answer.
        level: What a token is: "char", "byte", "word" or "bpe".
        record: The measured values, for the JSON.
        command: The command that makes the page.
    """
    caption = (
        f"What is left of a gradient in layer {layer} against the distance it has come: median, its 95 % band over "
        f"{record['texts']} texts (dark) and half of all predictions (light)."
    )
    leaf = main_leaf(profiles[layer])
    finding = answer(profiles[layer][leaf], level, leaf)
    study = Record(
        name="gradients",
        title=f"Gradients of {record['run']}",
        question="How much of the gradient of a prediction's loss is left, at each distance back through time?",
        expected="A fall by a constant factor a step in a plain network; a longer tail where gates keep a cell.",
        answer=finding,
        command=command,
        results={**record, "profiles": summaries(profiles)},
        rows=lag_rows(profiles),
        versions=versions(),
        means=summaries(profiles),
        columns=COLUMNS,
    )
    return write_study(folder, study, [Picture("lag_profile", lag_figure(profiles[layer], level, finding), caption)])
