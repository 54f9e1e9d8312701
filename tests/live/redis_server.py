"""A Redis (or Valkey) of our own, in a directory of the test, on a free port of loopback."""

import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

from postgres import free_port
from wire import wait_for


def find_program():
    return shutil.which("valkey-server") or shutil.which("redis-server")


class Redis:
    """With `pki`, a directory of first.pem, first.key and ca.pem, only by TLS."""

    def __init__(self, directory, password="redis-canary-7f3a", pki=None):
        self.directory, self.password, self.pki = Path(directory), password, pki
        self.directory.mkdir(parents=True)
        self.port, self.process = free_port(), None
        self.start()

    @property
    def url(self):
        return f"{'rediss' if self.pki else 'redis'}://:{self.password}@127.0.0.1:{self.port}/3"

    @property
    def settings(self):
        """What has servers count in it."""
        return {"shared": {"redis": self.url}}

    def told(self):
        """For each counter what each process has told it."""
        keys = [line for line in self.ask("KEYS accord:limit:*") if line.startswith("accord:")]
        return [[int(line.split()[1]) for line in self.ask(f"HVALS {key}") if line.count(" ") == 3]
                for key in keys]

    def pretend(self, taken, settled, age_ms):
        """Another process has told so much of the only counter, so long ago."""
        key = next(line for line in self.ask("KEYS accord:limit:*") if line.startswith("accord:"))
        at = int(time.time() * 1000) - age_ms
        assert self.ask(f'HSET {key} 00000000000000ff "1 {taken} {settled} {at}"')

    def listening(self):
        if not self.pki:
            return ["--port", str(self.port)]
        return ["--port", "0", "--tls-port", str(self.port), "--tls-cert-file", self.pki / "first.pem",
                "--tls-key-file", self.pki / "first.key", "--tls-ca-cert-file", self.pki / "ca.pem",
                "--tls-auth-clients", "no"]

    def start(self):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [find_program(), *self.listening(), "--bind", "127.0.0.1", "--save", "",
                 "--requirepass", self.password, "--dir", str(self.directory)], stdout=log, stderr=log)
        wait_for(lambda: self.ask("PING") == ["+PONG"], what="Redis")

    def stop(self):
        """Without a word, and without keeping anything."""
        self.process.kill()
        self.process.wait(10)

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.port), 2)
        if not self.pki:
            return sock
        return ssl.create_default_context(cafile=self.pki / "ca.pem").wrap_socket(
            sock, server_hostname="127.0.0.1")

    def ask(self, *commands):
        """Lines of the answers to inline commands; none when it does not answer."""
        try:
            with self.connect() as sock:
                lines = [f"AUTH {self.password}", "SELECT 3", *commands, "QUIT"]
                sock.sendall(("\r\n".join(lines) + "\r\n").encode())
                answer = b""
                while more := sock.recv(65536):
                    answer += more
        except OSError:
            return []
        return answer.decode().split("\r\n")[2:-2]
