"""Annotations of array shapes, such as Float[Tensor, "batch channels height width"].

The tests check them at run time. A machine without jaxtyping can import the package all the same.
"""

try:
    from jaxtyping import Float, UInt8
except ImportError:

    class Float:
        """Stands for any annotation of a shape."""

        def __class_getitem__(cls, item):
            return cls

    UInt8 = Float

__all__ = ["Float", "UInt8"]
