"""A server with a round-trip time: `python -m benchmarks.slow_server FOLDER MILLISECONDS` prints its port.

It answers as a channel's server does (ETag, 304, Cache-Control), each request after the time that was asked for, and
tells at /-/traffic what it has served since the last time.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

REASONS = {200: "OK", 304: "Not Modified", 404: "Not Found"}


class SlowServer:
    """A server of one folder in a process of its own."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def traffic(self) -> dict[str, int]:
        """What was served since the last call: requests, bytes, shards, and how many requests were open at once."""
        with urlopen(f"{self.url}/-/traffic") as answer:
            found: dict[str, int] = json.loads(answer.read())
        return found


@contextmanager
def serve_slowly(folder: Path, milliseconds: float) -> Iterator[SlowServer]:
    """Serve a folder as long as the block lasts."""
    argv = [sys.executable, "-m", "benchmarks.slow_server", str(folder), str(milliseconds)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield SlowServer(int(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


class Site:
    """The folder, and what was served of it."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._open = 0
        self._traffic = dict.fromkeys(("requests", "bytes", "shards", "at once"), 0)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, as long as the client keeps it."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path, headers = parse_head(head)
                if path == "/-/traffic":
                    writer.write(answer(200, json.dumps(self._traffic).encode(), {}))
                    self._traffic = dict.fromkeys(self._traffic, 0)
                else:
                    await self._serve(path, headers, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _serve(self, path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self._traffic["at once"] = max(self._open, self._traffic["at once"])
        await asyncio.sleep(self._seconds)
        self._open -= 1
        file = self._folder / path.lstrip("/")
        self._traffic["requests"] += 1
        self._traffic["shards"] += "/shards/" in path
        if not file.is_file():
            writer.write(answer(404, b"", {}))
            return
        found = file.stat()
        told = {"ETag": f'"{found.st_mtime_ns:x}-{found.st_size:x}"', "Cache-Control": "public, max-age=1"}
        if headers.get("if-none-match") == told["ETag"]:
            writer.write(answer(304, b"", told))
            return
        content = file.read_bytes()
        self._traffic["bytes"] += len(content)
        writer.write(answer(200, content, told))


def parse_head(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return first.split(" ")[1], headers


def answer(status: int, content: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS[status]}", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def main() -> None:
    site = Site(Path(sys.argv[1]), float(sys.argv[2]) / 1000)
    server = await asyncio.start_server(site.talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
