"""Text as a terminal may get it: without the codes that would move its cursor, colour it or ring its bell."""

LINES = {"\n": "\\n", "\u2028": "\\u2028", "\u2029": "\\u2029"}  # the ends of lines and paragraphs of Unicode too
CODES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def visible(text: str) -> str:
    """Returns a text with its control codes written out, such as \\x1b for ESC; line ends and tabs are as they were."""
    return text.translate(CODES)


def one_line(text: str) -> str:
    """Returns a text as one line: its line ends are written out too."""
    return visible(text.translate(str.maketrans(LINES)))
