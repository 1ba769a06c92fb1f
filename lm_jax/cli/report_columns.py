"""The columns of the table of reports, and which of them a narrow terminal does without."""

from lm_jax.report.numbers import clock
from lm_jax.training.listener import Column, Start


def report_columns(start: Start) -> tuple[Column, ...]:
    """Returns the columns of the table of reports: those of every task, and between them the task's own."""

    def epoch(report):
        return f"{report.step / start.steps_per_epoch:.2f}"

    def speed(report):
        return f"{report.targets_per_second:,.0f}" if report.targets_per_second else "-"

    def left(report):
        if not report.targets_per_second:
            return "-"
        targets = (start.steps - report.step) * start.targets_per_epoch
        return clock(targets / start.steps_per_epoch / report.targets_per_second)

    return (
        Column("step", 7, lambda report: f"{report.step:,}"),
        Column("epoch", 6, epoch),
        Column("loss", 7, lambda report: f"{report.loss:.4f}"),
        *start.columns,
        Column("grad", 8, lambda report: f"{report.grad_norm:.3g}"),
        Column("clipped", 8, lambda report: f"{report.clipped:.0%}"),
        Column("rate", 9, lambda report: f"{report.learning_rate:.2e}"),
        Column(f"{start.unit}/s", 9, speed),
        Column("left", 8, left),
    )


def fit_columns(start: Start, width: int) -> tuple[Column, ...]:
    """Leaves out columns until the others have room: clipping, learning rate, gradient, time left, speed, epoch.

    The step, the loss and the task's own columns stay.
    """
    columns = list(report_columns(start))
    for title in ("clipped", "rate", "grad", "left", f"{start.unit}/s", "epoch"):
        if sum(column.width for column in columns) + len(columns) - 1 <= width:
            break
        columns = [column for column in columns if column in start.columns or column.title != title]
    return tuple(columns)
