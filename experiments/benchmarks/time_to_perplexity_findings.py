"""What the times of time_to_perplexity.py say."""

from experiments.harness import Findings, Verdict
from experiments.harness.figures import draw_lines, finish, headline, panels
from lm_jax.report.study import Picture
from lm_jax.report.style import COLOURS, OTHER_COLOUR, threshold


TARGET = 170.0
PUBLISHED = (240.6, 185.3, 169.2, 160.2, 156.1, 152.7)  # after epochs 1 to 6
MOST = 0.4  # of torch's time
COLUMNS = {
    "step of": "the recipe in torch, and in lm_jax with one change after the other",
    "minimum ms": "least time of a training step over the rounds (ms)",
    "median ms": "median of the same (ms)",
}


def draw(record: dict, title: str):
    """Validation perplexity against seconds in steps."""
    figure, (axes,) = panels((6.8, 4.2))
    lowest = record["time"]["minimum_ms"]
    steps, perplexities = zip(*record["train"]["valid"], strict=True)
    ours = [s * lowest[list(lowest)[-1]] / 1e3 for s in steps]
    lines = {" lm_jax, our recipe": (ours, perplexities, COLOURS["lstm"])}
    if "torch" in lowest:
        epoch = record["peer"]["steps_an_epoch"] * lowest["torch"] / 1e3
        peer = [epoch * k for k in range(1, len(PUBLISHED) + 1)]
        lines[" torch, published recipe"] = (peer, PUBLISHED, OTHER_COLOUR)
    ends = draw_lines(axes, lines)
    limits = {"xlim": (ours[0] / 2, 20 * max(x for x, *_ in ends)), "ylim": (100, 1.1 * max(*perplexities, *PUBLISHED))}
    threshold(axes, TARGET, f"{TARGET:g}", x=0.96)
    headline(figure, title)
    finish(axes, (), xscale="log", **limits, xlabel="seconds in training steps", ylabel="validation perplexity")
    figure.draw_without_rendering()  # the layout moves the axes, and labels are placed in pixels
    finish(axes, ends)
    return figure


def findings(record: dict) -> Findings:
    """What the parts that have been run say."""
    result, target = record.get("result") or {}, f"{TARGET:g}"
    steps = record.get("train", {}).get("steps_to_target")
    title = f"A validation perplexity of {target} is passed after {steps or 'more than the'} steps of the recipe"
    answer, share = f"{title}.", result.get("share")
    if share:
        title = f"Validation perplexity {target} is reached {1 / share:.0f} times faster than by the recipe in torch"
        answer = (
            f"Our recipe reaches a validation perplexity of {target} in {result['our_seconds']:,.0f} s of steps, "
            f"torch's published recipe in {result['torch_seconds']:,.0f} s."
        )
    times = record.get("time", {"minimum_ms": {}})
    rows = [
        {"step of": name, "minimum ms": least, "median ms": times["median_ms"][name]}
        for name, least in times["minimum_ms"].items()
    ]
    pictures = []
    if {"train", "time"} <= record.keys():
        caption = (
            "WikiText-2 by word; time is steps times the least time of a step, without validation and compilation."
        )
        pictures = [Picture("time_to_perplexity", draw(record, title), _busy(record, caption))]
    said = "-" if share is None else f"{share:.3f}: {result['share_of_steps']:.2f} of the steps, each in "
    said += "" if share is None else f"{result['share_of_a_step']:.2f} of the time"
    return Findings(
        title=title,
        answer=answer,
        verdicts=[
            Verdict(f"at most {MOST} of torch's time", said, None if share is None else share <= MOST),
            _beside_ourselves(result.get("share_of_the_peers_recipe_by_us")),
        ],
        means=rows,
        rows=rows,
        columns=COLUMNS,
        pictures=pictures,
    )


def _beside_ourselves(share):
    """The share that other work on the machine does not change."""
    expected = f"at most {MOST} of the time of the peer's recipe in lm_jax too, which other work slows alike"
    return Verdict(expected, "-" if share is None else f"{share:.3f}", None if share is None else share <= MOST)


def _busy(record, caption):
    known = record["time"]["cores_used_by_others_in_the_lowest_round"].values()  # null where it is not known
    busy = max((cores for cores in known if cores is not None), default=0.0)
    return f"{caption} Steps were timed while other work used {busy:.1f} of the cores." if busy > 0.1 else caption
