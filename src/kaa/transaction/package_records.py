"""Writing the records of what a transaction leaves installed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from msgspec.structs import replace

from kaa.host.files import LinkMethod
from kaa.models.prefix_record import LinkType, PrefixRecord
from kaa.prefix.history import recorded_specs
from kaa.prefix.interruption import STAGING
from kaa.prefix.prefix import Prefix
from kaa.prefix.prefix_record_file import encode_record
from kaa.transaction.actions import How
from kaa.transaction.journal import Journal, Move, Replacement
from kaa.transaction.link import moved_record, prefix_record
from kaa.transaction.plan import Transaction
from kaa.transaction.prepare import Prepared, Source


class RecordWriter:
    """Writes the records of one transaction: beside, first; then they take their places all at once."""

    def __init__(
        self, transaction: Transaction, journal: Journal, checkpoint: Callable[[str], None], prepared: Prepared
    ) -> None:
        self.transaction = transaction
        self.journal = journal
        self.checkpoint = checkpoint
        self.prepared = prepared
        self.environment = Prefix(transaction.prefix)
        self.kept = [(record, self._kept_record(record)) for record in transaction.kept]
        self._gone: list[Move] = []
        self._replacements: list[Replacement] = []

    def announce(self) -> None:
        """Have it in the journal which records go and which come."""
        changed = [(old, new) for old, new in self.kept if old != new]
        gone = [record for record, _ in self.prepared.unlink] + [old for old, _ in changed]
        come = [source.actions.record.dist for source in self.prepared.sources] + [new.dist for _, new in changed]
        coming = [f"conda-meta/{dist}.json" for dist in come]
        going = [f"conda-meta/{record.dist}.json" for record in gone]
        self._gone = self.journal.will_set_aside(path for path in going if path not in coming)
        self._replacements = self.journal.will_replace(coming)

    def write(
        self,
        rendered: Mapping[str, Mapping[str, tuple[str, str]]],
        compiled: Collection[str],
        methods: Mapping[str, LinkMethod],
    ) -> list[PrefixRecord]:
        """Write what was announced; gives all records of the environment."""
        news = []
        for source in self.prepared.sources:
            method = methods[source.directory]
            news.append(self._new_record(source, rendered[source.actions.record.name], compiled, method))
        self.checkpoint("records")
        for old, new in self.kept:
            if old != new:
                self._stage(new, self.environment.record_file(old).read_bytes())
        for new in news:
            self._stage(new, None)
        self.journal.carry_out(self._gone)
        self.journal.replace(self._replacements, _staged)
        return [*(record for _, record in self.kept), *news]

    def _stage(self, record: PrefixRecord, previous: bytes | None) -> None:
        self.checkpoint(f"record {record.dist}")
        (self.journal.prefix / _staged(f"{record.dist}.json")).write_bytes(encode_record(record, previous))

    def _new_record(
        self, source: Source, rendered: Mapping[str, tuple[str, str]], compiled: Collection[str], method: LinkMethod
    ) -> PrefixRecord:
        record = source.actions.record
        aside = self.prepared.settlement.linked_aside.get(record.name, {})
        # Bytecode of what is kept aside is not made; what has its place is another package's.
        return prefix_record(
            record,
            source,
            [
                one
                for one in source.actions.actions
                if one.how is not How.BYTECODE or (one.target in compiled and one.target not in aside)
            ],
            aside,
            rendered,
            link_type=LinkType.HARDLINK if method is LinkMethod.HARDLINK else LinkType.COPY,
            requested_specs=self.transaction.requests_of(record.name),
        )

    def _kept_record(self, record: PrefixRecord) -> PrefixRecord:
        """The record of a package that stays, with what this transaction changes in it."""
        moves = self.prepared.settlement.moves.get(record.name)
        if moves:
            record = moved_record(record, moves)
        requested = self.transaction.requests_of(record.name)
        if requested != recorded_specs(record):
            record = replace(record, requested_specs=requested, requested_spec=None)
        return record


def _staged(path: str) -> str:
    """Where a record is written before it takes its place."""
    return f"{STAGING}/new/{path.rpartition('/')[2]}"
