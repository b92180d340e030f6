"""Public names that are loaded when they are first used, so that importing a package is cheap."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def lazy_names(
    package: str, homes: Mapping[str, Iterable[str]], *, also: Iterable[str] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Returns a package's `__getattr__` and `__dir__`.

    Args:
        package: its `__name__`.
        homes: the public names of each module that defines some.
        also: public names that the package has itself.
    """
    home_of = {name: home for home, names in homes.items() for name in names}
    shown = sorted({*home_of, *also})

    def load(name: str) -> object:
        """Loads a public name when it is first used."""
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home), name)

    def names() -> list[str]:
        """Returns the public names, in alphabetical order."""
        return list(shown)

    return load, names
