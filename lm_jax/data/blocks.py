"""A text in blocks of whole lines: what is made of one block after another never needs memory for all words at once."""

from collections.abc import Iterator


BLOCK = 1 << 23  # characters, or bytes of a file


def line_blocks(text: str, size: int = BLOCK) -> Iterator[str]:
    """Yields a text in blocks that end where a line ends; the last ends where the text does.

    Args:
        text: Any text.
        size: The characters of a block, about.
    """
    start = 0
    while start < len(text):
        end = text.find("\n", start + size) + 1 or len(text)
        yield text[start:end]
        start = end
