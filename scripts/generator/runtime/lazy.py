"""Package fronts that import a module only when one of its names is asked for (PEP 562)."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["resolve"]


def resolve(package: str, home: Mapping[str, str], name: str) -> Any:
    """Import what `name` stands for in the front of `package`, and keep it there for the next time.

    Args:
        package: `__name__` of the package whose front was asked.
        home: name -> submodule that holds it; a name that is its own submodule is that module.
        name: what was asked for.

    Raises:
        AttributeError: the front has no such name.
    """
    try:
        module_name = home[name]
    except KeyError:
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name) from None
    module = import_module(f".{module_name}", package)
    value = module if module_name == name else getattr(module, name)
    setattr(sys.modules[package], name, value)
    return value
