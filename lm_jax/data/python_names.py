"""Names in Python sources by their role: sentences with tags that every CPython carries.

A sentence is a function of the standard library: its tokens, each string written as "...", without its docstring. The
syntax tree tells what each name is:

    function, class    defined in the module, or a builtin         parameter    of the function or of a lambda in it
    module             imported as a whole                         local        bound in the function
    attribute          after a dot                                 global       anything else of the module
    keyword            the name of an argument in a call           other        what is no name

The same name is a local here and a parameter there: to tell them apart a tagger has to remember the header. Functions
whose names the tree cannot place for certain (with scopes of their own inside, imports, global statements, f-strings,
match) are left out.
"""

import ast
import bisect
import builtins
import io
import keyword
import sysconfig
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lm_jax.errors import UserError


ROLES = ("function", "class", "module", "parameter", "local", "attribute", "keyword", "global", "other")
STRING = '"..."'
MODULES = """
argparse ast bdb calendar cmd codecs collections/__init__ configparser contextlib copy csv datetime difflib dis
doctest email/message email/header fileinput fractions ftplib functools gettext glob gzip heapq html/parser
http/client http/cookies imaplib inspect json/decoder json/encoder logging/__init__ logging/handlers mailbox mimetypes
modulefinder multiprocessing/pool optparse os pathlib pickle platform plistlib pprint pstats queue random reprlib
sched selectors shelve shutil smtplib socketserver statistics string subprocess tarfile tempfile textwrap threading
timeit tokenize trace traceback typing unittest/case unittest/mock urllib/parse urllib/request uuid warnings weakref
xml/dom/minidom xmlrpc/client zipfile
""".split()
_SHORTEST, _LONGEST = 8, 80  # tokens of a function that is taken
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_LEFT_OUT = (*_SCOPES, ast.Global, ast.Nonlocal, ast.Import, ast.ImportFrom, ast.JoinedStr, ast.Match)
_NOT_READ = (tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENDMARKER)


class TaggedTokens(NamedTuple):
    """Tokens of a function with their roles, and the line that it begins in."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    line: int


def standard_library() -> Iterator[tuple[str, str]]:
    """Yields the names of the modules of `MODULES` that this Python has, with their sources, in that order.

    Raises UserError where none has a source.
    """
    folder, found = Path(sysconfig.get_path("stdlib")), False
    for name in MODULES:
        for path in (folder / f"{name}.py", folder / name / "__init__.py"):
            if path.is_file():
                found = True
                yield name, path.read_text("utf-8")
                break
    if not found:
        raise UserError(f"the default data are the sources of the standard library, got none in {folder}", ["data"])


def tagged_functions(source: str) -> list[TaggedTokens]:
    """Returns the functions of a module as tokens with roles, in the order of the source.

    Raises SyntaxError for what is no Python.
    """
    tree = ast.parse(source)
    everything = list(ast.walk(tree))
    names = _module_names(tree, everything)
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type not in _NOT_READ]
    starts = [token.start for token in tokens]
    lines = source.splitlines()
    found = []
    for node in _outer_functions(tree):
        first, last = _between(starts, (node.lineno, 0), (node.end_lineno or 0, 10**6))
        words = _without_docstring(node, tokens[first:last])
        if _SHORTEST <= len(words) <= _LONGEST:
            inner = [n for child in ast.iter_child_nodes(node) for n in ast.walk(child)]
            if not any(isinstance(n, _LEFT_OUT) for n in inner):
                found.append(_tagged(inner, words, names, lines))
    return sorted((one for one in found if one is not None), key=lambda one: one.line)


def _outer_functions(node):
    """The functions that stand in no other one: a name of the outer would be none of the module."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield child
        elif isinstance(child, ast.stmt) and not isinstance(child, ast.AsyncFunctionDef):
            yield from _outer_functions(child)


def _between(starts, first, last):
    return bisect.bisect_left(starts, first), bisect.bisect_right(starts, last)


def _without_docstring(node, tokens):
    if ast.get_docstring(node, clean=False) is None:
        return tokens
    first, last = node.body[0].lineno, node.body[0].end_lineno
    return [token for token in tokens if not (token.type == tokenize.STRING and first <= token.start[0] <= last)]


def _module_names(tree, everything):
    """Roles of the names of a module: builtins, what it imports, defines and binds."""
    roles = {}
    for name, value in vars(builtins).items():
        roles[name] = "class" if isinstance(value, type) else "function" if callable(value) else "global"
    for node in everything:
        if isinstance(node, ast.Import):
            roles |= {(alias.asname or alias.name.split(".")[0]): "module" for alias in node.names}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            roles[node.name] = "class"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            roles[node.name] = "function"
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.ImportFrom):
            roles |= dict.fromkeys(_bound_names(node), "global")
    return roles


def _bound_names(node):
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def _tagged(nodes, tokens, names, lines):
    """The tokens with their roles; None where a name has no certain one."""
    parameters = {n.arg for n in nodes if isinstance(n, ast.arg)}
    local = {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    local |= {n.name for n in nodes if isinstance(n, ast.ExceptHandler) and n.name}
    if parameters & local and any(isinstance(n, ast.Lambda | ast.comprehension) for n in nodes):
        return None  # one name in two scopes

    def role_of(name):
        if name in parameters:
            return "parameter"
        return "local" if name in local else names.get(name, "global")

    role_at = _roles_by_place(nodes, role_of, lines)
    words, tags = [], []
    for i, token in enumerate(tokens):
        is_name = token.type == tokenize.NAME and not keyword.iskeyword(token.string)
        role = role_at.get(token.start) if is_name else "other"
        if is_name and i and tokens[i - 1].string == "def":
            role = "function"
        if role is None and is_name and token.string in local:
            role = "local"  # of an except clause
        if role is None:
            return None
        words.append(STRING if token.type == tokenize.STRING else token.string)
        tags.append(role)
    return TaggedTokens(tuple(words), tuple(tags), tokens[0].start[0])


def _roles_by_place(nodes, role_of, lines):
    """Roles of names by (line, column in characters)."""
    found = {}

    def put(line, byte, role):
        found[line, len(lines[line - 1].encode()[:byte].decode())] = role

    for inner in nodes:
        if isinstance(inner, ast.Name):
            put(inner.lineno, inner.col_offset, role_of(inner.id))
        elif isinstance(inner, ast.arg):
            put(inner.lineno, inner.col_offset, "parameter")
        elif isinstance(inner, ast.keyword) and inner.arg:
            put(inner.lineno, inner.col_offset, "keyword")
        elif isinstance(inner, ast.Attribute) and inner.end_lineno and inner.end_col_offset:
            put(inner.end_lineno, inner.end_col_offset - len(inner.attr.encode()), "attribute")
    return found
