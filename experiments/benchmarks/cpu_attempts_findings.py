"""What the times of cpu_attempts.py say."""

from experiments.harness import Findings, Verdict
from experiments.harness.figures import bars
from experiments.harness.rows import filled
from lm_jax.report.study import Picture


BAR = 0.9  # of the speed of torch compiled
GAIN = 1.05  # times lm_jax's speed, at every size, is worth code
PEERS = ("torch", "torch compiled")
COLUMNS = {
    "work": "LSTM layers, layers x units, batch 20 and 35 steps unless named, gradients unless forward",
    "attempt": "the way of computing it, or the peer",
    "ms": "time of the core for one call, least over the rounds (ms)",
    "times lm_jax": "lm_jax's time as a multiple of this one: above 1 it is faster than lm_jax",
    "of torch compiled": "torch compiled's time as a multiple of this one: its speed as a share of torch's",
    "difference": "largest difference of a gradient, or of the loss, from the plain scan's, as a share of the largest",
}
BOUND = "lm_jax, its products by OpenBLAS"


def to_rows(results: dict) -> list[dict]:
    """A row for each piece of work and attempt, the bound by OpenBLAS included."""
    rows = []
    for name, found in results["results"].items():
        times, products = found["ms"], found["products_ms"]
        times = times | {BOUND: times["lm_jax"] - products["XLA"] + products["OpenBLAS"]}
        for attempt, ms in times.items():
            row = {"work": name, "attempt": attempt, "ms": ms, "times lm_jax": times["lm_jax"] / ms}
            if "torch compiled" in times:
                row["of torch compiled"] = times["torch compiled"] / ms
            rows.append(row | {"difference": found["difference"].get(attempt)})
    return rows


def least_gains(rows: list[dict]) -> dict[str, float]:
    """By attempt, how many times as fast as lm_jax it is where it gains least."""
    gains: dict[str, list[float]] = {}
    for row in rows:
        if row["attempt"] not in ("lm_jax", *PEERS):
            gains.setdefault(row["attempt"], []).append(row["times lm_jax"])
    return {attempt: min(values) for attempt, values in gains.items()}


def findings(results: dict) -> Findings:
    """What the times say, beside torch where it was there."""
    rows = filled(to_rows(results))
    gains = least_gains(rows)
    worth = [attempt for attempt, gain in gains.items() if gain > GAIN and attempt != BOUND]
    best = max((name for name in gains if name != BOUND), key=lambda attempt: gains[attempt])
    ours = [row["of torch compiled"] for row in rows if row["attempt"] == "lm_jax" and "of torch compiled" in row]
    title = f"Worth it at every size: {', '.join(worth)}" if worth else "No attempt gains more than 5 % at every size"
    beside = f"lm_jax has {min(ours):.2f} to {max(ours):.2f} of torch compiled's speed; " if ours else ""
    return Findings(
        title=title,
        answer=f"{beside}the best attempt has, at the size where it gains least, {gains[best]:.2f} times lm_jax's "
        "speed.",
        verdicts=_verdicts(ours, gains),
        means=_means(rows),
        rows=rows,
        columns=COLUMNS | {f"{work}": f"times lm_jax, {work}" for work in results["results"]},
        pictures=[
            Picture(
                "cpu_attempts",
                bars(gains, title, "times as fast as lm_jax, at the size where it gains least", line=1.0),
                f"{title}. Least times over {results['rounds']} rounds, one core.",
            )
        ],
    )


def _means(rows):
    """A row for each attempt: how many times as fast as lm_jax at each size."""
    means: dict[str, dict] = {}
    for row in rows:
        means.setdefault(row["attempt"], {"attempt": row["attempt"]})[row["work"]] = row["times lm_jax"]
    return filled(means.values())


def _verdicts(ours, gains):
    merging = max(gains[name] for name in ("wavefront", "blocks of steps", "unroll 4"))
    said = f"{min(ours):.2f} to {max(ours):.2f}" if ours else "-"
    return [
        Verdict("the aim: 0.9 of torch compiled's speed at every size", said, min(ours) >= BAR if ours else None),
        Verdict("merging steps or layers gains nothing", f"at most {merging:.2f} times", merging <= GAIN),
        Verdict(
            "another form or another library for the products gains",
            f"{max(gains.values()):.2f} times",
            max(gains.values()) > GAIN,
        ),
    ]
