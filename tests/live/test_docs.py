"""The loops of docs/conflicts.md, as they stand there: eight clients of each, all at the same moment, and
no change of theirs is lost."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from platform_api import ADMIN_TOKEN, Api
from tooling import require_node

DOC = Path(__file__).parents[2] / "docs" / "conflicts.md"
CLIENTS = 8

PYTHON = """
import random, sys, time
import requests
{loop}
session = requests.Session()
session.headers["Authorization"] = "Bearer " + sys.argv[2]
update(session, sys.argv[1], lambda now: {{"description": now["description"] + " " + sys.argv[3]}})
"""

JAVASCRIPT = """
{loop}
const [url, token, word] = process.argv.slice(2);
await update(url, (now) => ({{ description: `${{now.description}} ${{word}}` }}),
             {{ Authorization: `Bearer ${{token}}` }});
"""

C = """
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
{loop}
static const char *word;
static void add_word(const char *now, char *patch, size_t room)
{{
    const char *from = strstr(now, "\\"description\\":\\"") + strlen("\\"description\\":\\"");
    snprintf(patch, room, "{{\\"description\\":\\"%.*s %s\\"}}", (int)strcspn(from, "\\""), from, word);
}}
int main(int argc, char **argv)
{{
    (void)argc;
    word = argv[3];
    srandom((unsigned)getpid());
    return update(argv[1], argv[2], add_word) ? 0 : 1;
}}
"""


def loop_of(language, which):
    blocks = re.findall(rf"```{language}\n(.*?)```", DOC.read_text(encoding="utf-8"), re.S)
    return blocks[which]


def python(directory):
    (directory / "loop.py").write_text(PYTHON.format(loop=loop_of("python", 1)))
    return [sys.executable, directory / "loop.py"]


def javascript(directory):
    node = require_node()
    (directory / "loop.mjs").write_text(JAVASCRIPT.format(loop=loop_of("js", 0)))
    return [node, directory / "loop.mjs"]


def c(directory):
    (directory / "loop.c").write_text(C.format(loop=loop_of("c", 0)))
    done = subprocess.run(["gcc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-o", "loop", "loop.c", "-lcurl"],
                          cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [directory / "loop"]


@pytest.mark.parametrize("program", [python, javascript, c], ids=lambda f: f.__name__)
def test_the_loop_that_works(api, tmp_path, program):
    command = [*program(tmp_path)]
    made = api.team(description=".")
    url = f"{api.base}/teams/{made['id']}"
    clients = [subprocess.Popen([*map(str, command), url, ADMIN_TOKEN, f"word{n}"],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
               for n in range(CLIENTS)]
    for client in clients:
        said = client.communicate(timeout=120)[0]
        assert client.returncode == 0, said
    words = api.get(f"/teams/{made['id']}").json()["description"].split()
    assert sorted(words[1:]) == sorted(f"word{n}" for n in range(CLIENTS))
