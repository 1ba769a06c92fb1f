"""Public functions with three or more parameters describe each of them in an Args section (Google style)."""

import ast
import re

from lm_jax.tasks.base import Task
from tests.test_architecture import TREES


MANY = 3
# Functions of the contract of a task, whose arguments `Task` describes once for all tasks.
OF_A_TASK = {"lm_jax.tasks.language_model": set(Task._fields)} | {
    f"lm_jax.tasks.{name}": {"diagnose"} for name in ("classify", "tag", "translate")
}


def public_functions(body, within=None):
    """Public functions and methods as (name, node, docstring); of `__init__` the docstring is that of its class."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            overload = any(getattr(decorator, "id", "") == "overload" for decorator in node.decorator_list)
            if node.name == "__init__" and within is not None:
                yield within.name, node, ast.get_docstring(within)
            elif not node.name.startswith("_") and not overload:
                yield node.name if within is None else f"{within.name}.{node.name}", node, ast.get_docstring(node)


def parameters(node):
    """The names of a function's parameters, without self and cls."""
    given = node.args
    several = [one for one in (given.vararg, given.kwarg) if one is not None]
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs, *several)]
    return [name for name in names if name not in ("self", "cls")]


def described(docstring):
    """The names that the Args section of a docstring has."""
    section = re.search(r"^Args:\n((?: .*\n|\n)*)", f"{docstring or ''}\n", re.MULTILINE)
    return set(re.findall(r"^    \*{0,2}(\w+): \S", section[1], re.MULTILINE)) if section else set()


def undescribed(tree, exempt=()):
    """Each public function with many parameters, and those of them that its Args section lacks."""
    for name, node, docstring in public_functions(tree.body):
        names = parameters(node)
        missing = [one for one in names if one not in described(docstring)]
        if len(names) >= MANY and missing and name not in exempt:
            yield f"{name}: {', '.join(missing)}"


def test_every_argument_is_described():
    found = {name: list(undescribed(tree, OF_A_TASK.get(name, ()))) for name, tree in TREES.items()}
    assert len(TREES) > 300 and {name: lines for name, lines in found.items() if lines} == {}


def test_an_argument_without_a_word_is_found():
    text = '''
def whole(a, b, *c, **d):
    """Does.

    Args:
        a: One.
        b: Two,
            and more: of it.
        *c: Three.
        **d: Four.

    Returns:
        e: no argument.
    """
def lacking(a, b, *, e):
    """Does.

    Args:
        a: One.
        b:

    Returns:
        e: no argument.
    """
def none(a, b, c): ...
def few(a, b): ...
def _private(a, b, c): ...
class Whole:
    """Is.

    Args:
        a: One.
        b: Two.
    """
    def __init__(self, a, b, c): ...
    def method(self, a, b, c): ...
'''
    assert list(undescribed(ast.parse(text))) == ["lacking: b, e", "none: a, b, c", "Whole: c", "Whole.method: a, b, c"]
    assert list(undescribed(ast.parse(text), {"none", "Whole", "lacking"})) == ["Whole.method: a, b, c"]
