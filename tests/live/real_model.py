"""A real small model behind the server: chat and stream through the official openai SDK.

Run by `./check --real-model`. Starts llama-cpp-python's OpenAI-compatible server with the weights
that the Python package carries, puts Accord in front of it, and writes what was said to a file.
"""

import argparse
import datetime
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import openai

QUESTION = "Name three colours. Answer in one short sentence."
MAGIC = b"GGUF"


def parts_of_the_model():
    """The weight files that the installed packages carry, in the order of their names."""
    found = [path for entry in sys.path for path in Path(entry).glob("gemma3*/**/*")
             if path.is_file() and path.stat().st_size > 1 << 20]
    if not found:
        raise SystemExit("no weights found in the installed gemma3-270m packages")
    return sorted(set(found), key=lambda path: path.name)


def model_file(directory):
    """One file that llama.cpp loads: split models are loaded by their first part, plain pieces
    of one file are put together."""
    parts = parts_of_the_model()
    with open(parts[0], "rb") as first:
        if first.read(4) != MAGIC:
            raise SystemExit(f"{parts[0]} is not a GGUF file")
    if all(open(part, "rb").read(4) == MAGIC for part in parts):
        return parts[0]
    whole = directory / "model.gguf"
    with open(whole, "wb") as out:
        for part in parts:
            out.write(part.read_bytes())
    return whole


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_until_up(url, process, deadline_s=120):
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"the model server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the model server did not come up")


def talk(client):
    """The lines of the transcript."""
    began = time.monotonic()
    chat = client.chat.completions.create(
        model="local/gemma", max_tokens=40, temperature=0,
        messages=[{"role": "user", "content": QUESTION}])
    lines = [f"chat ({time.monotonic() - began:.2f} s): {chat.choices[0].message.content!r}",
             f"usage: {chat.usage.to_dict()}"]
    assert chat.choices[0].message.content.strip(), "an empty answer"
    assert chat.usage.completion_tokens > 0
    began, first, text, chunks = time.monotonic(), None, "", 0
    for chunk in client.chat.completions.create(
            model="local/gemma", max_tokens=40, temperature=0, stream=True,
            messages=[{"role": "user", "content": QUESTION}]):
        if chunk.choices and chunk.choices[0].delta.content:
            first = first or time.monotonic() - began
            text += chunk.choices[0].delta.content
            chunks += 1
    assert text.strip() and chunks > 1, "nothing was streamed"
    lines.append(f"stream ({chunks} chunks, the first after {first:.2f} s): {text!r}")
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--accord", required=True)
    parser.add_argument("--transcript", required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        port = free_port()
        model = subprocess.Popen([
            sys.executable, "-m", "llama_cpp.server", "--model", str(model_file(directory)),
            "--host", "127.0.0.1", "--port", str(port), "--n_ctx", "1024",
            # The file names no template, and with the one that is assumed then the model says nothing.
            "--chat_format", "gemma"],
            stdout=sys.stderr)
        accord = None
        try:
            wait_until_up(f"http://127.0.0.1:{port}/v1/models", model)
            config = directory / "accord.yaml"
            config.write_text(json.dumps({"providers": [{
                "id": "local", "dialect": "openai", "base_url": f"http://127.0.0.1:{port}/v1",
                "credential": "unused-by-the-local-server", "allow_private_address": True}]}),
                encoding="utf-8")
            accord = subprocess.Popen(
                [options.accord, "serve", "-c", str(config), "--listen", "127.0.0.1:0", "--data",
                 str(directory / "data"), "--json"], stdout=subprocess.PIPE,
                env={**os.environ, "HOME": name})
            started = json.loads(accord.stdout.readline())
            client = openai.OpenAI(base_url=f"{started['address']}/v1", api_key=started["key"])
            lines = talk(client)
        finally:
            for process in (accord, model):
                if process:
                    process.terminate()
                    process.wait(30)
    text = "\n".join([
        "# A real model behind Accord", "",
        "Written by `./check --real-model`: llama-cpp-python's server with Gemma 3 270M, Accord",
        "in front of it, the official openai package as the client.", "",
        f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"openai {openai.__version__}", "", f"Asked: {QUESTION!r}", "",
        *[f"    {line}" for line in lines], ""])
    Path(options.transcript).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
