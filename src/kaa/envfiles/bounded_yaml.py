"""A YAML reader with bounds: on the size of a document, on its depth, and on what its aliases stand for.

YAML lets a few lines of aliases stand for more values than fit into any memory, and readers go down into nested values
by calling themselves. Documents come from other people; a real one is far below every bound here.
"""

from __future__ import annotations

import functools

from kaa.errors import KaaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ruamel.yaml import YAML

LARGEST_DOCUMENT = 1 << 20
"""In bytes; the longest list of packages of a large environment takes a tenth of that."""
LARGEST_TEXT = 64 << 20
"""Of a file that is no YAML, or is read by others: lists of addresses, lock files."""
DEEPEST = 50
MOST_VALUES = 100_000


class TooLarge(KaaError, ValueError):
    """A document is larger than any that a person or a program writes."""

    conda_name = "CondaValueError"

    def __init__(self, name: str, limit: int = LARGEST_DOCUMENT) -> None:
        self.name = name
        self.limit = limit
        super().__init__(
            f"{name} is larger than {limit} bytes, and is not read",
            hints=("check that this is the file that was meant",),
        )


def bounded_yaml() -> YAML:
    """A reader of YAML that keeps comments; beyond the bounds it raises ComposerError, which has the place."""
    # Most runs read no YAML, or only what `kaa.config.plain_yaml` can read.
    from ruamel.yaml import YAML  # noqa: PLC0415

    yaml = YAML(typ="rt")
    yaml.Composer = _composer()
    return yaml


def load_bounded(yaml: YAML, text: str) -> Any:
    """What a document holds; raises YAMLError, and ValueError for what looks like a date and is none, or is too odd."""
    try:
        return yaml.load(text)
    except (AssertionError, AttributeError, LookupError, NotImplementedError, TypeError) as error:
        # Comments within texts of several lines, for one thing, are more than the library can keep.
        raise ValueError(f"it is put down in a way that cannot be read ({error})") from error


def find_line(node: Any, key: object) -> int | None:
    """The line (from 0) on which a key of a mapping stands; None for one that another mapping was merged in for."""
    return node.lc.key(key)[0] if key in (node.lc.data or ()) else None


@functools.cache
def _composer() -> Any:
    from ruamel.yaml.composer import Composer, ComposerError  # noqa: PLC0415
    from ruamel.yaml.events import AliasEvent, ScalarEvent  # noqa: PLC0415
    from ruamel.yaml.nodes import ScalarNode  # noqa: PLC0415

    class BoundedComposer(Composer):
        """Counts the values of a document, those behind aliases as often as they are named."""

        def __init__(self, loader: Any = None) -> None:
            super().__init__(loader)
            # YAML 1.2 lets a name be used again, and a warning on standard error is of no use to anybody.
            self.warn_double_anchors = False
            self.values = 0
            self.levels = 0
            self.sizes: dict[str, int] = {}
            """Values behind each anchor that is complete."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.parser.peek_event()
            if parent is not None and index is None and not self._is_text(event):
                self._refuse("a list or a mapping stands in the place of a key", event)
            if isinstance(event, AliasEvent):
                if event.anchor in self.anchors and event.anchor not in self.sizes:
                    self._refuse(f"the alias {event.anchor} stands for something that holds itself", event)
                self._count(self.sizes.get(event.anchor, 0), event)
                return super().compose_node(parent, index)
            before = self.values
            self._count(1, event)
            self.levels += 1
            if self.levels > DEEPEST:
                self._refuse(f"it is nested deeper than {DEEPEST} levels", event)
            node = super().compose_node(parent, index)
            self.levels -= 1
            if event.anchor is not None:
                self.sizes[event.anchor] = self.values - before
            return node

        def _is_text(self, event: Any) -> bool:
            """Whether a key is text; lists and mappings can be keys for YAML, and mean nothing in any file we read."""
            if isinstance(event, AliasEvent):
                return isinstance(self.anchors.get(event.anchor), ScalarNode | type(None))
            return isinstance(event, ScalarEvent)

        def _count(self, more: int, event: Any) -> None:
            self.values += more
            if self.values > MOST_VALUES:
                self._refuse(f"it has, with what its aliases stand for, more than {MOST_VALUES} values", event)

        @staticmethod
        def _refuse(reason: str, event: Any) -> None:
            raise ComposerError(None, None, reason, event.start_mark)

    return BoundedComposer
