"""Which code a script may use: the definitions that it reaches, by file.

Names are followed from the script to the functions, classes and constants that it names, and from
each of these to those that it names in turn, through re-exports. A class is reached as a whole,
and so is a module that is handed about. What a file executes besides definitions always counts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

# Folders whose modules import one another by their full names.
PACKAGES = ("lipsnn/", "studies/")
# A file's content by its path below the root; None where there is no such file.
Reader = Callable[[str], bytes | None]
# They schedule work and write results down, and change no number in them.
BOOKKEEPING = (
    "studies/common/files.py",
    "lipsnn/_optional.py",
    "studies/common/sources.py",
    "studies/common/freshness.py",
    "studies/common/provenance.py",
    "studies/common/runner.py",
    "studies/common/cache.py",
    "studies/common/command.py",
)
# a cell of a Jupytext notebook, without its options
_CELL = re.compile(
    r"^```\{code-cell\}[^\n]*\n(?:---\n.*?^---\n)?(?::[^\n]*\n)*(.*?)^```[ ]*$",
    re.DOTALL | re.MULTILINE,
)
_MAGIC = re.compile(r"^[ \t]*[%!].*$", re.MULTILINE)


def reached(entries: Iterable[str], read: Reader) -> dict[str, str]:
    """The code that the scripts (or notebooks, Jupytext .md) may use, by file.

    It is normalised: without comments, docstrings, types of arguments, `__repr__` and layout.
    """
    search = _Search(read)
    for entry in entries:
        search.whole(entry)
    return {
        path: "\n".join(ast.unparse(node) for node in sorted(nodes, key=lambda n: n.lineno))
        for path, nodes in sorted(search.found.items())
        if nodes
    }


@dataclass
class _File:
    """What a file binds at its top level, what it imports anywhere, and what it just executes."""

    own: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imported: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    executed: list[ast.stmt] = field(default_factory=list)
    guarded: list[ast.stmt] = field(default_factory=list)


class _Search:
    def __init__(self, read: Reader) -> None:
        self.read = read
        self.files: dict[str, _File | None] = {}
        self.found: dict[str, set[ast.stmt]] = {}
        self.seen: set[tuple[str, str]] = set()

    def whole(self, path: str) -> None:
        """All of a file."""
        file = self.touch(path)
        if file is None or (path, "*") in self.seen:
            return
        self.seen.add((path, "*"))
        for name in file.own:
            self.name(path, name)
        for node in file.guarded:
            self.node(path, node)

    def module(self, path: str) -> None:
        """All that can be had from a module, and so what it imports, too."""
        file = self.touch(path)
        if file is None or (path, "*") in self.seen:
            return
        self.whole(path)
        for name in file.imported:
            self.name(path, name)

    def touch(self, path: str) -> _File | None:
        """The file, whose statements count once it is imported."""
        if path in self.files:
            return self.files[path]
        content = None if not path or path in BOOKKEEPING else self.read(path)
        self.files[path] = None if content is None else _parse(content.decode(), path)
        if (file := self.files[path]) is not None:
            self.found[path] = set()
            if path.endswith("__init__.py") and (stub := self.read(f"{path}i")) is not None:
                # has the names that are loaded when first used
                file.imported.update(_parse(stub.decode(), path).imported)
            folder = path.removesuffix("/__init__.py").rpartition("/")[0]
            if folder:
                self.touch(f"{folder}/__init__.py")
            for module in file.stars:
                self.attribute(module, (), path)
            for node in file.executed:
                self.node(path, node)
        return file

    def name(self, path: str, name: str, rest: tuple[str, ...] = ()) -> None:
        """What a name of a file stands for; `rest` are the attributes that follow it."""
        file = self.touch(path)
        if file is None:
            return
        for module, attribute in file.imported.get(name, []):
            chain = (attribute, *rest) if attribute else rest
            self.attribute(module, chain, path)
        if name in file.own and (path, name) not in self.seen:
            self.seen.add((path, name))
            for node in file.own[name]:
                self.node(path, node)

    def attribute(self, module: str, chain: tuple[str, ...], path: str) -> None:
        """`module.a.b`, as far as it leads through modules, and the name that it ends in."""
        target = self.locate(module, path)
        while chain and (inner := self.locate(f"{module}.{chain[0]}", path)) is not None:
            self.touch(target or "")
            module, target, chain = f"{module}.{chain[0]}", inner, chain[1:]
        if target is None or (chain and re.fullmatch(r"__\w+__", chain[0])):
            return
        file = self.touch(target)
        if file is not None and chain and chain[0] in {*file.own, *file.imported}:
            self.name(target, chain[0], chain[1:])
        else:  # the module itself is used, or a name that it makes up
            self.module(target)

    def node(self, path: str, node: ast.stmt) -> None:
        """Count a statement, and follow all names in it."""
        if node in self.found[path]:
            return
        self.found[path].add(node)
        for name, rest in _chains(node):
            self.name(path, name, rest)

    def locate(self, module: str, path: str) -> str | None:
        """The file of a module; modules beside a script that is no part of a package, too."""
        stem = module.replace(".", "/")
        stems = [stem]
        folder = path.rpartition("/")[0]
        if folder and not path.startswith(PACKAGES):
            stems.append(f"{folder}/{stem}")
        candidates = [f"{s}{end}" for s in stems for end in (".py", "/__init__.py")]
        return next((c for c in candidates if self.exists(c)), None)

    def exists(self, path: str) -> bool:
        return self.files.get(path) is not None or self.read(path) is not None


def _parse(text: str, path: str) -> _File:
    if path.endswith(".md"):
        text = "\n".join(_MAGIC.sub("", code) for code in _CELL.findall(text))
    tree = ast.parse(text)
    for node in ast.walk(tree):
        _strip(node)
    file = _File()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.split(".")[0]
                module = alias.name if alias.asname else name
                file.imported.setdefault(name, []).append((module, ""))
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, path)
            for alias in node.names:
                if alias.name == "*":
                    file.stars.append(module)
                else:
                    bound = file.imported.setdefault(alias.asname or alias.name, [])
                    bound.append((module, alias.name))
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Pass):
            continue
        if isinstance(node, ast.If) and _names(node.test) & {"TYPE_CHECKING", "__name__"}:
            if "__name__" in _names(node.test):
                file.guarded.append(node)
            continue
        bound_names = list(_bound(node))
        for name in bound_names:
            file.own.setdefault(name, []).append(node)
        plain = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
        if not (bound_names and isinstance(node, plain)):
            file.executed.append(node)
    return file


def _strip(node: ast.AST) -> None:
    """Remove what changes no number: a docstring, types, how an object prints itself."""
    if isinstance(node, ast.ClassDef):
        node.body = [
            part
            for part in node.body
            if not (isinstance(part, ast.FunctionDef) and part.name == "__repr__")
        ]
    if isinstance(node, ast.arg):
        node.annotation = None
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        node.returns = None
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        match node.body:
            case [ast.Expr(value=ast.Constant(value=str())), *_]:
                node.body[0] = ast.copy_location(ast.Pass(), node.body[0])


def _absolute(node: ast.ImportFrom, path: str) -> str:
    if not node.level:
        return node.module or ""
    above = path.split("/")[: -node.level]
    return ".".join([*above, *filter(None, [node.module])])


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
        return
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id


def _names(node: ast.AST) -> set[str]:
    found = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    return found | {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}


def _chains(node: ast.AST) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every name used in a node, with the attributes that follow it."""
    attributes: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        attributes.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        yield inner.id, tuple(reversed(attributes))
        return
    children = [inner] if inner is not node else ast.iter_child_nodes(node)
    for child in children:
        yield from _chains(child)
