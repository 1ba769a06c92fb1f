"""Dates as people write them, with the same dates in ISO form: parallel text that needs no file.

"the 3rd of May 2021", "Mon, 4 Jan 99" and "5/12/1987" (the month first) become 2021-05-03, 1999-01-04 and 1987-05-12. A
year of two digits lies between 1950 and 2049. The pairs are always the same, and no text is in two splits.
"""

import datetime
import random


DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October")
MONTHS += ("November", "December")
FIRST, LAST = datetime.date(1800, 1, 1), datetime.date(2199, 12, 31)
SHORT_YEARS = (1950, 2050)
SIZES = {"train": 12000, "valid": 500, "test": 500}
# d: day, D: day with its ending; m: number of the month, M: its name, b: first three letters; y: year, s: its last two
# digits; A: day of the week, a: its first three letters
LONG = ("{d} {M} {y}", "{D} {M} {y}", "the {D} of {M} {y}", "the {D} of {M}, {y}", "{M} {d}, {y}", "{M} {D}, {y}")
LONG += ("{A}, {d} {M} {y}", "{A} {d} {M} {y}", "{A}, {M} {d}, {y}", "{A}, the {D} of {M} {y}", "on the {D} of {M} {y}")
LONG += ("{a}, {d} {b} {y}", "{d} {b} {y}", "{b} {d}, {y}", "{b} {d} {y}", "{d}-{b}-{y}", "{D} {b}. {y}")
LONG += ("{m}/{d}/{y}", "{d}.{m}.{y}", "{y}/{m}/{d}", "{y} {b} {d}", "{m:02}/{d:02}/{y}", "{d:02}.{m:02}.{y}")
SHORT = ("{a}, {d} {b} {s}", "{d} {b} {s}", "{b} {d}, '{s}", "{d}-{b}-{s}", "{m}/{d}/{s}", "{d}.{m}.{s}")
SHORT += ("{A}, {d} {M} '{s}", "{D} {M} '{s}")


def date_pairs() -> dict[str, list[tuple[str, str]]]:
    """Returns (written, ISO) of each date by split."""
    draw, seen, pairs = random.Random(0), set(), []
    while len(pairs) < sum(SIZES.values()):
        pair = _draw_pair(draw)
        if pair[0] not in seen:
            seen.add(pair[0])
            pairs.append(pair)
    splits, start = {}, 0
    for split, size in SIZES.items():
        splits[split] = pairs[start : start + size]
        start += size
    return splits


def _draw_pair(draw):
    form = draw.choice(LONG + SHORT)
    first, last = FIRST, LAST
    if form in SHORT:
        first, last = datetime.date(SHORT_YEARS[0], 1, 1), datetime.date(SHORT_YEARS[1] - 1, 12, 31)
    date = datetime.date.fromordinal(draw.randint(first.toordinal(), last.toordinal()))
    written = written_date(date, form)
    return draw.choice((written, written, written.lower())), date.isoformat()


def written_date(date: datetime.date, form: str) -> str:
    """Writes a date in a form of `LONG` or `SHORT`."""
    month, day = MONTHS[date.month - 1], DAYS[date.weekday()]
    ending = "th" if date.day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(date.day % 10, "th")
    return form.format(
        d=date.day,
        D=f"{date.day}{ending}",
        m=date.month,
        M=month,
        b=month[:3],
        y=date.year,
        s=f"{date.year % 100:02}",
        A=day,
        a=day[:3],
    )
