"""In a running Jupyter server: start a kernel, run a program in it, interrupt it, shut it down; prints JSON.

Runs in the virtual environment of the server: jupyter_session.py ADDRESS TOKEN KERNEL PROGRAM.
"""

from __future__ import annotations

import json
import sys
import urllib.request
import uuid
from collections.abc import Callable
from importlib import import_module
from typing import Any


class Kernel:
    """A kernel behind the REST and websocket interfaces of a server."""

    def __init__(self, address: str, token: str, name: str) -> None:
        self.address = address
        self.token = token
        self.id: str = self.ask("POST", "", {"name": name})["id"]
        self.channel = import_module("websocket").create_connection(
            f"{address.replace('http', 'ws', 1)}api/kernels/{self.id}/channels",
            header=[f"Authorization: token {token}"],
            timeout=60,
        )

    def ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}api/kernels{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def interrupt(self) -> None:
        self.ask("POST", f"/{self.id}/interrupt")

    def shut_down(self) -> None:
        self.ask("DELETE", f"/{self.id}")

    def execute(self, code: str, on_output: Callable[[], None] = lambda: None) -> str:
        """What the code prints, and the name of the exception that ends it."""
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": "execute_request", "session": number, "username": "", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False, "stop_on_error": True}
        content |= {"user_expressions": {}}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self.channel.send(json.dumps(message | {"channel": "shell", "buffers": []}))
        printed = ""
        while True:
            reply = json.loads(self.channel.recv())
            if reply["parent_header"].get("msg_id") != number:
                continue
            kind, content = reply["msg_type"], reply["content"]
            if kind == "stream":
                printed += str(content["text"])
                on_output()
            elif kind == "error":
                printed += str(content["ename"])
            elif kind == "status" and content["execution_state"] == "idle":
                return printed


def main(address: str, token: str, name: str, program: str) -> None:
    kernel = Kernel(address, token, name)
    found = kernel.execute(program)
    interrupted = kernel.execute("print('asleep', flush=True)\nimport time; time.sleep(600)", kernel.interrupt)
    pid = int(kernel.execute("import os; print(os.getpid())"))
    kernel.shut_down()
    print(json.dumps({"found": found, "interrupted": interrupted, "pid": pid}))


if __name__ == "__main__":
    main(*sys.argv[1:])
