"""Texts of the user's in pictures: shown as they are, whatever they mean to matplotlib."""

from lm_jax.report.visible_text import one_line


def plain_label(text: str) -> str:
    """Returns a text for a label: a $ begins no mathematics, and control codes are written out.

    A label of a legend that begins with _ would be left out; a space of no width goes before it.
    """
    shown = one_line(text).replace("$", r"\$")
    return f"\u200b{shown}" if shown.startswith("_") else shown
