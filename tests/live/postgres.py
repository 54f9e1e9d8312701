"""A PostgreSQL cluster of our own: in a directory of the test, on a free port of loopback, as a user
that may (it refuses to run as root). It is stopped and removed with its directory."""

import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path

from wire import wait_for


def find_programs():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    path = shutil.which("initdb")
    return Path(path).parent if path else None


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Cluster:
    def __init__(self, directory):
        self.directory = Path(directory)
        self.programs = find_programs()
        self.port = free_port()
        self.user = "postgres" if os.geteuid() == 0 else None
        self.process = None
        self.directory.mkdir(parents=True)
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(self.directory, entry.pw_uid, entry.pw_gid)
            for parent in self.directory.parents:  # it must be able to reach its directory
                if os.stat(parent).st_uid == 0 and parent != Path("/"):
                    parent.chmod(os.stat(parent).st_mode | 0o011)
        self.run("initdb", "-D", self.directory / "data", "-U", "accord", "-A", "trust",
                 "--no-sync", "-E", "UTF8", "--locale=C")
        self.start()
        self.run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "accord", "accord")

    @property
    def url(self):
        return f"postgresql://accord@127.0.0.1:{self.port}/accord"

    def command(self, program, *arguments):
        command = [str(self.programs / program), *map(str, arguments)]
        return ["runuser", "-u", self.user, "--", *command] if self.user else command

    def run(self, program, *arguments):
        done = subprocess.run(self.command(program, *arguments), capture_output=True, text=True,
                              cwd="/", timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self):
        log = open(self.directory.parent / "postgres.log", "ab")
        self.process = subprocess.Popen(self.command(
            "postgres", "-D", self.directory / "data", "-p", self.port, "-h", "127.0.0.1",
            "-k", self.directory, "-c", "max_connections=60"), cwd="/", stdout=log, stderr=log)
        log.close()
        wait_for(self.answers, timeout=30, what="PostgreSQL")

    def answers(self):
        return subprocess.run(self.command("pg_isready", "-h", "127.0.0.1", "-p", self.port),
                              capture_output=True, cwd="/", check=False).returncode == 0

    def stop(self, how="fast"):
        self.run("pg_ctl", "-D", self.directory / "data", "-m", how, "-w", "stop")
        self.process.wait(30)

    def ask(self, sql):
        return self.run("psql", "-h", "127.0.0.1", "-p", self.port, "-U", "accord", "-Atc", sql,
                        "accord").strip()

    def fresh(self):
        """Nothing of ours is there any more."""
        self.ask("DROP SCHEMA IF EXISTS accord CASCADE")

    def remove(self):
        if self.process.poll() is None:
            self.stop("immediate")
        shutil.rmtree(self.directory, ignore_errors=True)
