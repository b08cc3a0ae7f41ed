"""What type checkers read and running code does not need, for the modules that every start loads.

The module `typing` takes three milliseconds to load, and a generic class of its kind a tenth of one to define.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic as Generic
    from typing import Protocol as Protocol
    from typing import TypeVar as TypeVar
    from typing import dataclass_transform as dataclass_transform
else:

    class Generic:
        """A class that takes types in brackets, and is the same with all of them."""

        def __class_getitem__(cls, types: object) -> type:
            return cls

    Protocol = object

    def TypeVar(name: str, **options: object) -> str:
        return name

    def dataclass_transform(**options: object):
        return lambda decorated: decorated
