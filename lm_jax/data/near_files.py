"""What a name of data that is not there was meant to be."""

from collections.abc import Iterable
from pathlib import Path

from lm_jax.errors import nearest


def near_files(data: str, others: Iterable[str] = ()) -> str:
    """Writes "; did you mean X?" for a file or folder with a name like this one, or another name of data; else ""."""
    path = Path(data).expanduser()
    try:
        names = {sibling.name: str(path.with_name(sibling.name)) for sibling in path.parent.iterdir() if path.name}
    except OSError:
        names = {}
    near = nearest(path.name, {**dict.fromkeys(others), **names})
    return f"; did you mean {names.get(near, near)}?" if near else ""
