"""What the times of speed.py say."""

from experiments.harness import Findings, Verdict
from experiments.harness.figures import bars
from experiments.harness.rows import filled, without
from lm_jax.report.study import Picture


COLUMNS = {
    "work": "layers (forward and backward), whole training steps, or generation; cell, layers x units",
    "lm_jax ms": "least time of lm_jax over the rounds (ms)",
    "share of ceiling": "time of the matrix products alone, as a share of lm_jax's",
    "times lm_jax scan": "how many times as fast as the plain scan of lm_jax",
    "times linen": "how many times as fast as flax linen",
    "times nnx": "how many times as fast as flax nnx",
    "times torch": "how many times as fast as torch",
    "times torch compiled": "how many times as fast as torch.compile",
    "peak MiB, lm_jax": "memory that three training steps add (MiB)",
    "peak MiB, torch": "the same of torch (MiB)",
}


def to_rows(results: dict) -> list[dict]:
    """A row for each piece of work."""
    rows = []
    for name, row in results["results"].items():
        ratios = {f"times {peer}": ratio for peer, ratio in without(row["ratio_of_minima"], "lm_jax").items()}
        peaks = {f"peak MiB, {peer}": value for peer, value in row.get("peak_MiB", {}).items()}
        own = {"work": name, "lm_jax ms": row["minimum_ms"]["lm_jax"], "share of ceiling": row.get("share_of_ceiling")}
        rows.append(own | ratios | peaks)
    return rows


def findings(results: dict) -> Findings:
    """What the times say, beside torch, or beside the plain scan where torch was not there."""
    rows = to_rows(results)
    peer = "torch" if any("times torch" in row for row in rows) else "lm_jax scan"
    times = {row["work"]: row[f"times {peer}"] for row in rows if f"times {peer}" in row}
    training = [value for name, value in times.items() if not name.startswith("generation")] or [1.0]
    written = [value for name, value in times.items() if name.startswith("generation")]
    title = f"Beside {peer}: {min(training):.2f} to {max(training):.2f} times as fast in training"
    generation = f", and {written[0]:.0f} times in generation" if written else ""
    return Findings(
        title=title + generation,
        answer=f"lm_jax is {min(training):.2f} to {max(training):.2f} times as fast as {peer} in training{generation}.",
        verdicts=_verdicts(times if peer == "torch" else {}),
        means=filled(rows),
        rows=rows,
        columns=COLUMNS,
        pictures=[
            Picture(
                "speed",
                bars(times, title + generation, f"times as fast as {peer}", line=1.0),
                f"Speed beside {peer}; above 1 lm_jax is faster. Least times over {results['rounds']} rounds.",
            )
        ],
    )


def _verdicts(times):
    """The aim, at least torch's speed, for each kind of work."""
    kinds = {
        "LSTM layers": ("lstm",),
        "GRU and RNN layers": ("gru", "rnn"),
        "whole training steps": ("step",),
        "generation": ("generation",),
    }
    parts = []
    for kind, beginnings in kinds.items():
        found = [value for name, value in times.items() if name.startswith(beginnings)]
        said = f"{min(found):.2f} to {max(found):.2f} times" if found else "-"
        parts.append(Verdict(f"the aim: {kind} at least as fast as torch", said, min(found) >= 1 if found else None))
    return parts
