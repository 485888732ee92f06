"""The modules of functions/ that a handler can import: its archive needs no others, and each file delays a cold start.

Imports inside functions count, since they run later; those for type checkers do not. Two kinds of text count, too: a
module's name, which ``lnn.data.inspection`` runs as a program, and the import paths of the registry of strategies. A
path counts where its column is loaded: Trainer loads engines and no costs.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

REGISTRY = "lnn.strategies.registry"


def reachable(source: Path, handler: str) -> set[Path]:
    """The files of the modules that ``handler``, such as ``trainer.handler``, can import, its own among them.

    ``source`` is the folder of all functions and their library.
    """
    files = {name_of(path.relative_to(source)): path for path in source.rglob("*.py")}
    columns = registry_columns(files.get(REGISTRY))
    reached: set[str] = set()
    waiting = [handler]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        waiting.append(name.rpartition(".")[0])  # importing a module imports its package
        if name not in files:
            continue
        for node in running(ast.parse(files[name].read_bytes())):
            match node:
                case ast.Import(names=names):
                    waiting += [alias.name for alias in names]
                case ast.ImportFrom(module=str(module), names=names):
                    waiting += [module, *(f"{module}.{alias.name}" for alias in names)]
                case ast.Call(func=ast.Attribute(attr="load"), args=[ast.Constant(value=str(column))]):
                    waiting += columns[column]
                case ast.Constant(value=str(text)) if "." in text:
                    waiting.append(text)
    return {files[name] for name in reached & files.keys()}


def name_of(path: Path) -> str:
    """The dotted name of the module in a file; an ``__init__.py`` has its package's."""
    return ".".join(path.parent.parts if path.name == "__init__.py" else path.with_suffix("").parts)


def registry_columns(registry: Path | None) -> dict[str, list[str]]:
    """The modules that each column of the registry names, in a row or as its default, as ``module:name``."""
    columns: dict[str, list[str]] = defaultdict(list)
    for node in ast.walk(ast.parse(registry.read_bytes() if registry else "")):
        match node:
            case (
                ast.keyword(arg=str(column), value=ast.Constant(value=str(path)))
                | ast.AnnAssign(target=ast.Name(id=column), value=ast.Constant(value=str(path)))
            ) if ":" in path:
                columns[column].append(path.partition(":")[0])
    return columns


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module, without what only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from running(node)
