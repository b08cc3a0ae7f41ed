"""Values with named fields, for the few modules that load neither msgspec nor typing.

A class of these is defined in a hundredth of the time that a named tuple takes.

>>> class Point(Value):
...     across: int
...     down: int = 0
>>> Point(2), Point(2) == Point(2, down=0), Point(2).replace(down=3)
(Point(across=2, down=0), True, Point(across=2, down=3))
"""

from __future__ import annotations

from kaa.models.typed import dataclass_transform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar, Self


@dataclass_transform(frozen_default=True)
class Value:
    """The base of classes whose annotations are their fields; what a field is assigned is its default."""

    __match_args__: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls.__match_args__ = tuple(cls.__annotations__)  # type: ignore[misc]

    def __init__(self, *values: object, **named: object) -> None:
        kind, fields = type(self), self.__match_args__
        if len(values) > len(fields):
            raise TypeError(f"{kind.__name__} takes {len(fields)} values, not {len(values)}")
        own = self.__dict__
        own.update(zip(fields, values, strict=False))
        for name in fields[len(values) :]:
            own[name] = named.pop(name) if name in named else kind._default(name)
        if named:
            raise TypeError(f"{kind.__name__} takes no {', '.join(named)}, or not twice")

    @classmethod
    def _default(cls, name: str) -> object:
        if name not in cls.__dict__:
            raise TypeError(f"{cls.__name__} needs {name}")
        return cls.__dict__[name]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} does not change")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), *self._fields()))

    def __repr__(self) -> str:
        pairs = zip(self.__match_args__, self._fields(), strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in pairs)})"

    def _fields(self) -> tuple[object, ...]:
        return tuple(self.__dict__[name] for name in self.__match_args__)

    def replace(self, **changes: object) -> Self:
        """The same value with other fields."""
        return type(self)(**{**self.__dict__, **changes})
