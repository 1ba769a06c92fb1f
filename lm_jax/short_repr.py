"""Short representations of records: a few lines in a terminal or a notebook, whatever they hold; never arrays."""

from typing import Any, TypeVar


Class = TypeVar("Class", bound=type)
LONGEST = 480  # characters of a representation
MOST_ITEMS = 4  # of a list or a dict inside a record that is written out
TEXT = 60  # characters of a text inside a record


def short_repr(record: Any) -> str:
    """Writes a NamedTuple with the sizes of its arrays and long lists in the place of what they hold."""
    fields = [(name, getattr(record, name)) for name in record._fields]
    parts = [f"{name}={_short(value, 1)}" for name, value in fields]
    return short_text(f"{type(record).__name__}({', '.join(parts)})")


def short_text(text: str) -> str:
    """Cuts a representation that is too long."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def shortly_shown(cls: Class) -> Class:
    """Gives a NamedTuple class `short_repr` as its representation; a decorator."""
    cls.__repr__ = short_repr  # type: ignore[method-assign]
    return cls


def _short(value, depth):
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{float(value):.6g}" if value.shape == () else f"{value.dtype}{list(value.shape)}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return repr(value) if len(value) <= TEXT else f"{value[:TEXT]!r}..."
    if hasattr(value, "_fields"):
        return f"{type(value).__name__}(...)"
    if isinstance(value, dict):
        items = [f"{key!r}: {_short(item, depth - 1)}" for key, item in list(value.items())[:MOST_ITEMS]]
        return f"{{{len(value)} items}}" if _too_much(value, depth) else f"{{{', '.join(items)}}}"
    if isinstance(value, list | tuple):
        left, right = "[]" if isinstance(value, list) else "()"
        if _too_much(value, depth):
            return f"{left}{len(value)} items{right}"
        return f"{left}{', '.join(_short(item, depth - 1) for item in value)}{right}"
    text = getattr(value, "__name__", None) or repr(value)
    return text if len(text) <= TEXT else f"{type(value).__name__}(...)"


def _too_much(items, depth):
    return len(items) > MOST_ITEMS or (bool(items) and depth < 0)
