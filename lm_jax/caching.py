"""Memory of results: a function that is called with equal arguments again returns the object of the first call."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast


F = TypeVar("F", bound=Callable[..., Any])


def cached(f: F) -> F:
    """Returns `f` with a memory without limit: equal arguments give the identical result.

    So a model that is made twice is compiled once. Unlike with `functools.cache`, type checkers and `inspect` still
    see the signature of `f`, and a list among the arguments is taken as the tuple of its items.
    """
    remembered = functools.cache(f)

    @functools.wraps(f)
    def call(*args, **settings):
        return remembered(*map(_hashable, args), **{name: _hashable(value) for name, value in settings.items()})

    return cast(F, call)


def _hashable(value):
    return tuple(map(_hashable, value)) if type(value) in (list, tuple) else value
