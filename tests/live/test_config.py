"""accord check, its messages and exit codes, the commands, and secrets that stay secret."""

import json

import pytest

from accord import KEY, PROVIDER_SECRET, ROOT, config_for, run
from wire import request, wait_for

GOOD = """\
listen: 127.0.0.1:0
data: ./data
providers:
  - id: openai
    dialect: openai
    base_url: https://api.example.com/v1
    credential: ${OPENAI_API_KEY}
  - id: claude
    dialect: anthropic
    base_url: https://api.example.org
    credential: {file: secret.txt}
models:
  - id: smart
    aliases: [gpt-4o, claude-smart]
    targets:
      - {provider: openai, model: gpt-4o, weight: 3}
      - {provider: claude, model: claude-sonnet, priority: 2}
keys:
  - id: dev
    secret: ${ACCORD_FIRST_KEY}
    models: ["*"]
policies:
  - id: dev-limits
    applies_to: {key: dev}
    limits:
      - {what: concurrency, at_most: 10}
timeouts: {connect_ms: 1000}
limits: {max_body_bytes: 1048576}
"""
SECRET = "sk-openai-secret-canary-55aa77"
FILE_SECRET = "sk-file-secret-canary-99bb11"
ENV = {"OPENAI_API_KEY": SECRET, "ACCORD_FIRST_KEY": KEY}


def check(directory, text, env=None):
    (directory / "accord.yaml").write_text(text, encoding="utf-8")
    (directory / "secret.txt").write_text(FILE_SECRET + "\n", encoding="utf-8")
    return run(["check", "-c", "accord.yaml"], directory, ENV if env is None else env)


def test_check_prints_the_effective_configuration_with_secrets_masked(tmp_path):
    result = check(tmp_path, GOOD)
    assert result.returncode == 0, result
    shown = result.stdout + result.stderr
    for expected in ("https://api.example.com/v1", "gpt-4o", "claude-sonnet", "1000", "dev"):
        assert expected in shown
    for secret in (SECRET, FILE_SECRET, KEY):
        assert secret not in shown


# name: (what is replaced, by what, line and column of the message, what it must say)
MISTAKES = {
    "an unknown key": ("data: ./data", "dta: ./data", "2:1", ["dta"]),
    "an unknown key inside": ("    base_url: https://api.example.com/v1",
                              "    base_ur: https://api.example.com/v1", "6:5", ["base_ur"]),
    "a word that is not allowed": ("dialect: openai", "dialect: openia", "5:14",
                                   ["openia", "openai", "anthropic", "gemini", "providers[0]"]),
    "a number that is none": ("weight: 3", "weight: many", None, ["weight"]),
    "a number out of range": ("weight: 3", "weight: -1", None, ["weight"]),
    "a key twice": ("data: ./data", "data: ./data\ndata: ./other", "3:1", ["data"]),
    "a provider that is not there": ("{provider: claude,", "{provider: cloud,", None, ["cloud"]),
    "an id twice": ("- id: claude", "- id: openai", None, ["openai"]),
    "a bad URL": ("https://api.example.com/v1", "api.example.com", "6:15", ["base_url"]),
    "a variable that is not set": ("${OPENAI_API_KEY}", "${NOT_SET_ANYWHERE}", "7:17",
                                   ["NOT_SET_ANYWHERE"]),
    "a file that is not there": ("secret.txt", "no-such-file", "11:24",
                                 ["cannot be read"]),
    "a list where a mapping belongs": ("applies_to: {key: dev}", "applies_to: [dev]", None,
                                       ["applies_to"]),
    "a policy for a key that is not there": ("{key: dev}", "{key: prod}", None, ["prod"]),
    "broken YAML": ("data: ./data", "data: [./data", None, []),
    "a tab": ("data: ./data", "\tdata: ./data", None, []),
    "a limit that does not exist yet": ("what: concurrency", "what: nonsense", None,
                                        ["nonsense", "concurrency"]),
    "a secret that is too short": ("${ACCORD_FIRST_KEY}", "short", None, ["secret"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_named_with_file_line_and_column(tmp_path, name):
    before, after, position, words = MISTAKES[name]
    assert before in GOOD
    result = check(tmp_path, GOOD.replace(before, after, 1))
    assert result.returncode == 3, result
    first = result.stderr.strip().splitlines()[0]
    assert "accord.yaml:" in first
    place = first[first.index("accord.yaml:"):].split(":")
    assert place[1].isdigit() and place[2].isdigit(), first
    if position:
        assert f"accord.yaml:{position}:" in result.stderr, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr
    assert SECRET not in result.stderr and KEY not in result.stderr


def test_all_mistakes_are_told_at_once(tmp_path):
    result = check(tmp_path, GOOD.replace("dialect: openai", "dialect: openia")
                   .replace("weight: 3", "weight: many"))
    assert result.returncode == 3
    assert "openia" in result.stderr and "many" in result.stderr


def test_close_miss_is_suggested(tmp_path):
    result = check(tmp_path, GOOD.replace("data: ./data", "dat: ./data"))
    assert 'did you mean "data"' in result.stderr


def test_schema_is_printed_and_is_the_one_that_ships(tmp_path):
    printed = run(["check", "--schema"], tmp_path)
    assert printed.returncode == 0
    shipped = (ROOT / "docs" / "accord.schema.json").read_text(encoding="utf-8")
    assert json.loads(printed.stdout) == json.loads(shipped)


def test_serve_with_a_wrong_file_ends_with_3(tmp_path):
    (tmp_path / "accord.yaml").write_text("nonsense: true\n", encoding="utf-8")
    result = run(["serve", "-c", "accord.yaml", "--listen", "127.0.0.1:0"], tmp_path)
    assert result.returncode == 3, result
    assert "accord.yaml:1:1" in result.stderr


@pytest.mark.parametrize("arguments", [["nonsense"], ["serve", "--nonsense"], ["serve", "-c"],
                                       ["serve", "--workers", "many"], ["check", "--nonsense"],
                                       ["serve", "--listen", "nonsense"]])
def test_wrong_usage_ends_with_2_and_says_what_is_right(tmp_path, arguments):
    result = run(arguments, tmp_path)
    assert result.returncode == 2, result
    assert result.stderr


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_file_without_its_option_is_told_which(tmp_path, command):
    result = run([command, "accord.yaml"], tmp_path)
    assert result.returncode == 2 and '"accord.yaml" is not expected here; a configuration follows -c' in result.stderr


def test_missing_file_is_told(tmp_path):
    result = run(["check", "-c", "no-such.yaml"], tmp_path)
    assert result.returncode in (1, 3)
    assert "no-such.yaml" in result.stderr


def test_version_and_help(tmp_path):
    version = run(["version"], tmp_path)
    assert version.returncode == 0 and "accord" in version.stdout.lower()
    as_json = run(["version", "--json"], tmp_path)
    assert as_json.returncode == 0 and json.loads(as_json.stdout)["version"]
    assistance = run(["help"], tmp_path)
    assert assistance.returncode == 0
    for command in ("serve", "check", "key", "version"):
        assert command in assistance.stdout


def test_key_create_makes_a_key_that_a_running_server_takes(tmp_path, start):
    accord = start(None)
    made = run(["key", "create", "--data", accord.directory / "data", "--json",
                "--models", "sim/echo"], tmp_path)
    assert made.returncode == 0, made
    secret = json.loads(made.stdout.strip().splitlines()[-1])["secret"]
    assert secret.startswith("sk-accord-") and len(secret) > 40

    def status(model):
        with accord.connect() as connection:
            body = json.dumps({"model": model, "messages": []}).encode()
            connection.send(request("POST", "/v1/chat/completions", [("x-api-key", secret)], body))
            return connection.read_response().status

    wait_for(lambda: status("sim/echo") == 200, what="the server to take the key")
    assert status("sim/lorem") in (403, 404)
    stored = b"".join(p.read_bytes() for p in (accord.directory / "data").rglob("*")
                      if p.is_file())
    assert secret.encode() not in stored


def test_environment_alone_makes_providers(tmp_path):
    (tmp_path / "accord.yaml").write_text("{}\n", encoding="utf-8")
    result = run(["check", "-c", "accord.yaml"], tmp_path, {
        "OPENAI_API_KEY": SECRET, "ANTHROPIC_API_KEY": FILE_SECRET, "GEMINI_API_KEY": "g" * 20})
    assert result.returncode == 0, result
    for provider in ("openai", "anthropic", "gemini", "sim"):
        assert provider in result.stdout
    assert SECRET not in result.stdout and FILE_SECRET not in result.stdout


def test_masked_secrets_show_at_most_their_end(tmp_path):
    shown = check(tmp_path, GOOD).stdout
    for length in range(5, len(SECRET)):
        assert SECRET[:length] not in shown
    assert SECRET[-5:] not in shown


def test_server_log_never_shows_a_secret(start, upstream):
    accord = start(config_for(upstream.url))
    accord.post("/v1/chat/completions", {"model": "m", "messages": []})
    accord.wait_access_log(1)
    text = accord.stderr() + accord.access_log_path.read_text(encoding="utf-8")
    assert PROVIDER_SECRET not in text and KEY not in text


def test_check_prints_no_retry_that_nobody_has_set(tmp_path):
    policy = json.loads(run_json(tmp_path, GOOD))["config"]["policies"][0]
    assert "retry" not in policy
    more = GOOD.replace("    limits:\n", "    retry: {attempts: 4}\n    limits:\n")
    policy = json.loads(run_json(tmp_path, more))["config"]["policies"][0]
    assert policy["retry"]["attempts"] == 4


def run_json(directory, text):
    (directory / "accord.yaml").write_text(text, encoding="utf-8")
    (directory / "secret.txt").write_text(FILE_SECRET + "\n", encoding="utf-8")
    result = run(["check", "-c", "accord.yaml", "--json"], directory, ENV)
    assert result.returncode == 0, result
    return result.stdout


@pytest.mark.parametrize("n, code", [(64, 0), (65, 2)])
def test_check_refuses_more_credentials_than_are_used(tmp_path, n, code):
    listed = "".join(f"\n      - {{id: c{i}, secret: sk-some-secret-{i:04}}}" for i in range(n))
    result = check(tmp_path, GOOD.replace("${OPENAI_API_KEY}", listed))
    assert (result.returncode != 0) == (code != 0), result
    if code:
        assert "providers[0].credential" in result.stderr and "64" in result.stderr
