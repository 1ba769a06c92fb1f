"""Numbers as people read them: short ones, and times."""


def short(number: float) -> str:
    """Writes four digits at least, thousands separated; large numbers in powers of ten."""
    if number >= 1e5:
        return f"{number:.2e}"
    return f"{number:,.2f}" if number >= 10 else f"{number:.3f}"


def clock(seconds: float) -> str:
    """Writes a time such as 0:42 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
