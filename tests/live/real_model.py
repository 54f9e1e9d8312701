"""A real small model behind the server, asked in five dialects through their official SDKs.

Run by `./check --real-model`. Starts llama-cpp-python's OpenAI-compatible server with the weights
that the Python package carries, puts Accord in front of it, and writes what was said to a file.
"""

import argparse
import datetime
import importlib.metadata
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

import anthropic
import ollama
import openai
from google import genai

QUESTION = "Name three colours. Answer in one short sentence."
MODEL = "local/gemma"
LONGEST = 40
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


# ---- one question, asked by the official SDK of each dialect ----
#
# Each gives two functions: the whole answer as (text, tokens in, tokens out), and the pieces of the streamed one.

def openai_chat(address, key):
    create = openai.OpenAI(base_url=f"{address}/v1", api_key=key).chat.completions.create
    asked = {"model": MODEL, "max_tokens": LONGEST, "temperature": 0,
             "messages": [{"role": "user", "content": QUESTION}]}

    def whole():
        answer = create(**asked)
        usage = answer.usage
        return answer.choices[0].message.content, usage.prompt_tokens, usage.completion_tokens

    def pieces():
        for chunk in create(stream=True, **asked):
            yield chunk.choices[0].delta.content if chunk.choices else None

    return whole, pieces


def openai_responses(address, key):
    create = openai.OpenAI(base_url=f"{address}/v1", api_key=key).responses.create
    asked = {"model": MODEL, "max_output_tokens": LONGEST, "temperature": 0, "input": QUESTION}

    def whole():
        answer = create(**asked)
        return answer.output_text, answer.usage.input_tokens, answer.usage.output_tokens

    def pieces():
        for event in create(stream=True, **asked):
            yield event.delta if event.type == "response.output_text.delta" else None

    return whole, pieces


def anthropic_messages(address, key):
    messages = anthropic.Anthropic(base_url=address, api_key=key).messages
    # This SDK has no temperature of its own any more.
    asked = {"model": MODEL, "max_tokens": LONGEST, "extra_body": {"temperature": 0},
             "messages": [{"role": "user", "content": QUESTION}]}

    def whole():
        answer = messages.create(**asked)
        return answer.content[0].text, answer.usage.input_tokens, answer.usage.output_tokens

    def pieces():
        with messages.stream(**asked) as stream:
            yield from stream.text_stream

    return whole, pieces


def gemini_generate(address, key):
    client = genai.Client(api_key=key, http_options={"base_url": address})  # closes when it goes
    asked = {"model": MODEL, "contents": QUESTION,
             "config": {"max_output_tokens": LONGEST, "temperature": 0}}

    def whole():
        answer = client.models.generate_content(**asked)
        usage = answer.usage_metadata
        return answer.text, usage.prompt_token_count, usage.candidates_token_count

    def pieces():
        for part in client.models.generate_content_stream(**asked):
            yield part.text

    return whole, pieces


def ollama_chat(address, key):
    chat = ollama.Client(host=address, headers={"Authorization": f"Bearer {key}"}).chat
    asked = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}],
             "options": {"num_predict": LONGEST, "temperature": 0}}

    def whole():
        answer = chat(**asked)
        return answer.message.content, answer.prompt_eval_count, answer.eval_count

    def pieces():
        for part in chat(stream=True, **asked):
            yield part.message.content

    return whole, pieces


DIALECTS = [("openai.chat", openai_chat), ("openai.responses", openai_responses),
            ("anthropic.messages", anthropic_messages), ("gemini.generate", gemini_generate),
            ("ollama.chat", ollama_chat)]


def talk(address, key):
    """The lines of the transcript. The model is not asked to be lucky (temperature 0): what it says
    is the same in every dialect, whole and streamed."""
    said, lines = None, []
    for name, ask in DIALECTS:
        whole, pieces = ask(address, key)
        began = time.monotonic()
        text, tokens_in, tokens_out = whole()
        took = time.monotonic() - began
        said = said or text
        assert text.strip() and text == said, f"{name}: {text!r}"
        assert tokens_in > 0 and tokens_out > 0, f"{name}: {tokens_in} {tokens_out}"
        began, first, streamed = time.monotonic(), None, []
        for piece in pieces():
            if piece:
                first = first or time.monotonic() - began
                streamed.append(piece)
        assert len(streamed) > 1 and "".join(streamed) == said, f"{name}: {streamed}"
        lines.append(f"| {name} | {took:.2f} s | {tokens_in} | {tokens_out} | {len(streamed)} | "
                     f"{first:.2f} s |")
    return said, lines


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
                "id": "local", "dialect": "openai", "api": "chat",
                "base_url": f"http://127.0.0.1:{port}/v1",
                "credential": "unused-by-the-local-server", "allow_private_address": True}]}),
                encoding="utf-8")
            accord = subprocess.Popen(
                [options.accord, "serve", "-c", str(config), "--listen", "127.0.0.1:0", "--data",
                 str(directory / "data"), "--json"], stdout=subprocess.PIPE,
                env={**os.environ, "HOME": name})
            started = json.loads(accord.stdout.readline())
            said, lines = talk(started["address"], started["key"])
        finally:
            for process in (accord, model):
                if process:
                    process.terminate()
                    process.wait(30)
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in
                         ("openai", "anthropic", "google-genai", "ollama", "llama-cpp-python"))
    text = "\n".join([
        "# A real model behind Accord", "",
        "Written by `./check --real-model`: llama-cpp-python's server with Gemma 3 270M, which speaks",
        "openai.chat, Accord in front of it, and the official Python SDK of each dialect as the client.", "",
        f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores; {packages}.", "",
        f"Asked: {QUESTION!r}, for {LONGEST} tokens at temperature 0. Said in every dialect, whole and",
        "streamed, to the letter:", "", f"    {said!r}", "",
        "| dialect of the caller | the whole answer took | tokens in | tokens out | pieces of the stream | "
        "the first after |", "|---|---|---|---|---|---|", *lines, ""])
    Path(options.transcript).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
