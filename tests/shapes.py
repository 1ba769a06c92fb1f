"""Shape annotations executed: what goes in and comes out has the axes that the annotations say."""

import dataclasses
import inspect
import types
from typing import Any, Union, get_args, get_origin

import jax
from jaxtyping import AnnotationError, jaxtyped


def conforms(value: Any, annotation: Any) -> bool:
    """Whether a value is what an annotation says; axis letters mean one size each in a `jaxtyped` context."""
    if annotation in (Any, None, type(None)):
        return annotation is Any or value is None
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(conforms(value, part) for part in parts)
    if origin is tuple:
        items = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return isinstance(value, tuple) and all(conforms(v, part) for v, part in zip(value, items, strict=True))
    if origin is dict:
        return all(conforms(item, parts[1]) for item in value.values())
    return isinstance(value, annotation)


def call_checked(protocol: type, function, *arguments, **switches):
    """Calls a function under the annotations of a protocol, all of them in one context."""
    signature = inspect.signature(protocol.__call__)
    with jaxtyped("context"):
        given = signature.bind(None, *arguments, **switches).arguments
        for name, value in list(given.items())[1:]:
            annotation = signature.parameters[name].annotation
            assert conforms(value, annotation), f"{protocol.__name__}: {name} must be {annotation}, got {value}"
        result = function(*arguments, **switches)
        annotation = signature.return_annotation
        assert conforms(result, annotation), f"{protocol.__name__} must return {annotation}, got {result}"
    return result


def check_records(tree: Any) -> int:
    """Checks the fields of every dataclass and named tuple in a tree of arrays; returns how many fields it checked."""
    fields = {}
    if dataclasses.is_dataclass(tree):
        fields = {field.name: field.type for field in dataclasses.fields(tree)}
    elif hasattr(tree, "_fields"):
        fields = {name: a for name, a in type(tree).__annotations__.items() if not isinstance(a, str)}
    with jaxtyped("context"):
        waiting, tries = list(fields.items()), 2 * len(fields)
        while waiting:  # an axis such as 4*H waits for the field that says what H is
            name, annotation = waiting.pop(0)
            tries -= 1
            try:
                assert conforms(getattr(tree, name), annotation), f"{type(tree).__name__}.{name} must be {annotation}"
            except (AnnotationError, NameError):
                if tries < 0:
                    raise
                waiting.append((name, annotation))
    if fields:
        children = [getattr(tree, name) for name in fields]
    else:
        children = tree if isinstance(tree, tuple | list) else tree.values() if isinstance(tree, dict) else []
    return len(fields) + sum(map(check_records, children))


def as_arrays(tree: Any) -> Any:
    """The tree with JAX's arrays."""
    return jax.tree.map(jax.numpy.asarray, tree)
