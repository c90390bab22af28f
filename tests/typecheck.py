"""A type checker for jaxtyping's import hook that looks at the shapes of arrays alone.

Other annotations are left to the functions themselves, which answer bad input with BadInput.
"""

import inspect
from typing import get_args

from beartype import beartype
from jaxtyping import AbstractArray


def shapes(function):
    """Check the annotations of `function` that are shapes, at each call."""
    if not inspect.isfunction(function):
        return function

    def is_shape(kind):
        if kinds := get_args(kind):  # Images | None
            return all(part is type(None) or is_shape(part) for part in kinds)
        return inspect.isclass(kind) and issubclass(kind, AbstractArray)

    kept = {name: kind for name, kind in function.__annotations__.items() if is_shape(kind)}
    function.__annotations__ = kept
    return beartype(function)
