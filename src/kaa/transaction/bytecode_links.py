"""The bytecode of the modules that a transaction brings: compiled where there is none yet, and linked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from kaa.events import Note, Reporter
from kaa.transaction.actions import How, PathAction, bytecode_path, bytecode_source
from kaa.transaction.bytecode import Job, PackageBytecode, compile_packages, find_bytecode
from kaa.transaction.journal import Journal
from kaa.transaction.link import Linker
from kaa.transaction.plan import LinkOptions, Transaction
from kaa.transaction.prepare import Prepared, Source


class BytecodeLinks:
    """Brings the bytecode of one transaction; its places were announced with those of all other files."""

    def __init__(
        self,
        transaction: Transaction,
        options: LinkOptions,
        journal: Journal,
        reporter: Reporter,
        linker: Callable[[Source], Linker],
    ) -> None:
        self.transaction = transaction
        self.prefix = transaction.prefix
        self.options = options
        self.journal = journal
        self.reporter = reporter
        self.linker = linker
        self.compiled: set[str] = set()
        """The targets that have bytecode."""

    def bring(self, prepared: Prepared, interpreter: Path | None) -> None:
        """Compile what has no bytecode yet, and link all of it."""
        python = self.transaction.python
        if interpreter is None or python is None or python.bytecode_tag is None:
            return
        tag = python.bytecode_tag
        wanted, in_place = self._wanted(prepared, tag)
        if not interpreter.exists() and (in_place or any(bytecode.missing for _, bytecode, _ in wanted)):
            self.reporter(Note(f"no bytecode was compiled: {interpreter} is missing"))
            in_place = []
            wanted = [one for one in wanted if not one[1].missing]
        self.journal.checkpoint("compile")
        written = compile_packages(
            [(source, bytecode) for source, bytecode, _ in wanted],
            in_place,
            interpreter=interpreter,
            tag=tag,
            scratch=self.journal.staging / "new",
            workers=self.options.workers,
            environ=self.options.environ,
            reporter=self.reporter,
        )
        self.compiled = {self._below(target) for target in written}
        for source, bytecode, linked in wanted:
            self._link(source, bytecode, linked, tag)

    def _wanted(
        self, prepared: Prepared, tag: str
    ) -> tuple[list[tuple[Source, PackageBytecode, list[PathAction]]], list[Job]]:
        wanted = []
        in_place: list[Job] = []
        for source in prepared.sources:
            aside = prepared.settlement.linked_aside.get(source.actions.record.name, {})
            actions = [one for one in source.actions.actions if one.how is How.BYTECODE and one.target not in aside]
            linked, own = self._split(source, actions)
            in_place += own
            if linked:
                wanted.append((source, find_bytecode(source, [action.source for action in linked], tag), linked))
        return wanted, in_place

    def _split(self, source: Source, actions: Sequence[PathAction]) -> tuple[list[PathAction], list[Job]]:
        """Bytecode that is linked from the cache, and bytecode of modules that are not the same everywhere."""
        rendered = {one.source for one in source.actions.actions if one.how is How.RENDER}
        own = []
        for action in actions:
            if action.source in rendered:
                module = bytecode_source(action.target) or action.target
                own.append(Job(f"{self.prefix}/{module}", f"{self.prefix}/{action.target}", module))
        return [action for action in actions if action.source not in rendered], own

    def _link(self, source: Source, bytecode: PackageBytecode, actions: Sequence[PathAction], tag: str) -> None:
        present = [action for action in actions if action.source in bytecode.modules]
        self.linker(source).link_bytecode(
            [(f"{bytecode.directory}/{bytecode_path(one.source, tag)}", one.target) for one in present]
        )
        self.compiled.update(action.target for action in present)

    def _below(self, path: str) -> str:
        """An absolute path as a path below the environment."""
        return path[len(str(self.prefix)) + 1 :]
