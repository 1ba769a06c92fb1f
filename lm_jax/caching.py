"""Memory of results: a function that is called with equal arguments again returns the object of the first call."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast


F = TypeVar("F", bound=Callable[..., Any])


def cached(f: F) -> F:
    """Returns `f` with a memory without limit: equal arguments give the identical result.

    So a model that is made twice is compiled once. Unlike with `functools.cache`, type checkers and `inspect` still
    see the signature of `f`, a list among the arguments is taken as the tuple of its items, and a default is the same
    whether it is written out or not.
    """
    remembered, signature = functools.cache(f), inspect.signature(f)

    @functools.wraps(f)
    def call(*args, **settings):
        given = signature.bind(*args, **settings)
        given.apply_defaults()
        named = {name: _hashable(value) for name, value in given.kwargs.items()}
        return remembered(*map(_hashable, given.args), **named)

    return cast(F, call)


def _hashable(value):
    return tuple(map(_hashable, value)) if type(value) in (list, tuple) else value
