"""Numbers as people read them: short ones, and times."""


def short(number: float) -> str:
    """Writes four digits at least, thousands separated; large numbers in powers of ten."""
    if number >= 1e5:
        return f"{number:.2e}"
    return f"{number:,.2f}" if number >= 10 else f"{number:.3f}"


def cell(value: float | str | None) -> str:
    """Writes a cell of a page's table: four digits of a fraction, all of a count, thousands apart from 10,000 on."""
    if value is None:
        return "-"
    if isinstance(value, float) and 9999.5 <= abs(value) < 1e7:
        value = int(float(f"{value:.4g}"))
    if isinstance(value, float):
        return f"{value:.4g}"
    is_large = isinstance(value, int) and abs(value) >= 10_000
    return f"{value:,}" if is_large else str(value)


def clock(seconds: float) -> str:
    """Writes a time such as 0:42 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
