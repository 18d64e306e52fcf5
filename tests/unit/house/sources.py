"""What the house rules look at: every module of the package and the scenarios, as syntax trees.

Parsing instead of importing sees the imports inside functions too, and those behind TYPE_CHECKING.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "pytest_vdkprobe"
TEMPLATES = ROOT / PACKAGE / "jobs" / "templates"
"""Code that is deployed and runs on the platform: no module of the house."""


@cache
def package_modules() -> tuple[Path, ...]:
    """Every Python file of the package, job templates left out."""
    return tuple(
        path
        for path in sorted((ROOT / PACKAGE).rglob("*.py"))
        if not path.is_relative_to(TEMPLATES)
    )


@cache
def scenario_modules() -> tuple[Path, ...]:
    """Every Python file of the shipped scenarios."""
    return tuple(sorted((ROOT / "scenarios").rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def shown(path: Path) -> str:
    """The path as messages name it."""
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    """`pytest_vdkprobe/jobs/zip.py` -> `pytest_vdkprobe.jobs.zip`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Each imported module's dotted name, its line, and whether it is imported lazily.

    Lazily: inside a function, or for types only. `from a import b` gives `a.b`, which may be a
    module or a name in one; whoever asks for rooms or distributions looks at the first parts only.
    """
    yield from _imports(tree(path), path, lazy=False)


def _imports(node: ast.AST, path: Path, *, lazy: bool) -> Iterator[tuple[str, int, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield alias.name, child.lineno, lazy
        elif isinstance(child, ast.ImportFrom):
            base = _base(child, path)
            for alias in child.names:
                yield f"{base}.{alias.name}", child.lineno, lazy
        elif isinstance(child, ast.Call) and _called(child) in {"import_module", "__import__"}:
            first = child.args[0] if child.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value, child.lineno, lazy
        inside = (
            lazy
            or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            or (isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"))
        )
        yield from _imports(child, path, lazy=inside)


def _base(node: ast.ImportFrom, path: Path) -> str:
    """The absolute name of what a `from ... import` imports from."""
    if not node.level:
        return node.module or ""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    kept = package[: len(package) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _called(node: ast.Call) -> str:
    """The last name of what is called: `importlib.import_module` -> `import_module`."""
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
