"""A Redis (or Valkey) of our own, in a directory of the test, on a free port of loopback."""

import shutil
import socket
import subprocess
from pathlib import Path

from postgres import free_port
from wire import wait_for


def find_program():
    return shutil.which("valkey-server") or shutil.which("redis-server")


class Redis:
    def __init__(self, directory, password="redis-canary-7f3a"):
        self.directory, self.password = Path(directory), password
        self.directory.mkdir(parents=True)
        self.port, self.process = free_port(), None
        self.start()

    @property
    def url(self):
        return f"redis://:{self.password}@127.0.0.1:{self.port}/3"

    def start(self):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [find_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                 "--requirepass", self.password, "--dir", str(self.directory)], stdout=log, stderr=log)
        wait_for(lambda: self.ask("PING") == ["+PONG"], what="Redis")

    def stop(self):
        """Without a word, and without keeping anything."""
        self.process.kill()
        self.process.wait(10)

    def ask(self, *commands):
        """Lines of the answers to inline commands; none when it does not answer."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as sock:
                lines = [f"AUTH {self.password}", "SELECT 3", *commands, "QUIT"]
                sock.sendall(("\r\n".join(lines) + "\r\n").encode())
                answer = b""
                while more := sock.recv(65536):
                    answer += more
        except OSError:
            return []
        return answer.decode().split("\r\n")[2:-2]
