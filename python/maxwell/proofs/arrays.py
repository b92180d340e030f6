"""Reading `.npy` files that may be anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from maxwell.errors import ProofError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def load_array(path: Path) -> NDArray[np.generic]:
    """Returns the array of a `.npy` file; pickles are refused.

    Raises:
        ProofError: MX1705 when it cannot be read or is no such file.
    """
    import numpy as np

    try:
        # Mapped first: a header that claims more cells than the file holds is then an error
        # instead of an allocation.
        mapped = cast("NDArray[Any]", np.load(path, mmap_mode="r", allow_pickle=False))
        if type(mapped).__name__ != "memmap":
            raise ValueError("it holds several arrays, or none")
        return np.array(mapped)
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError, OverflowError) as error:
        raise ProofError(
            f"cannot read {path}: {error}",
            code="MX1705",
            hint='save it with numpy.save("x.npy", x)',
        ) from error
