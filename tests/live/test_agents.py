"""Coding agents in print mode, through the server to the outside upstream: an answer, and a file that
a tool call of another dialect's upstream makes them write."""

import json
import subprocess

import pytest

from accord import KEY
from tooling import NODE, NODE_HOME, clean_home, require_node

ANSWER = "Bonjour \u00e9l\u00e8ve \U0001f600, says the mock."
MODULES = NODE_HOME / "node_modules"
CLAUDE = MODULES / "@anthropic-ai" / "claude-code-linux-x64" / "claude"
CODEX = (MODULES / "@openai" / "codex-linux-x64" / "vendor" / "x86_64-unknown-linux-musl" / "bin"
         / "codex")
GEMINI = MODULES / "@google" / "gemini-cli" / "bundle" / "gemini.js"
OPENCODE = MODULES / "opencode-linux-x64" / "bin" / "opencode"
WRITTEN = "made by a tool \u2713\n"


def run(command, directory, env):
    require_node()
    assert command[0].exists(), f"{command[0]} is not installed"
    work = directory / "work"
    work.mkdir(exist_ok=True)
    return subprocess.run([str(part) for part in command], cwd=work, timeout=120,
                          env={**clean_home(directory), **env}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)


@pytest.mark.parametrize("variable", ["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"])
def test_claude_code_answers_through_the_gateway(gateway, tmp_path, variable):
    before = len(gateway.access_log())
    result = run([CLAUDE, "-p", "say hi"], tmp_path, {
        "ANTHROPIC_BASE_URL": gateway.address, variable: KEY, "ANTHROPIC_MODEL": "claude-m",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"})
    assert result.returncode == 0, result
    assert ANSWER in result.stdout
    assert gateway.wait_access_log(before + 1)[-1]["status"] == 200


def test_codex_answers_through_the_gateway(gateway, tmp_path):
    provider = (f'model_providers.accord={{name="accord",base_url="{gateway.address}/v1",'
                'env_key="ACCORD_KEY",wire_api="responses"}')
    result = run([CODEX, "exec", "--skip-git-repo-check", "-s", "read-only",
                  "-c", 'model_provider="accord"', "-c", 'model="m"', "-c", provider,
                  "say hi"], tmp_path, {"ACCORD_KEY": KEY})
    assert result.returncode == 0, result
    assert ANSWER in result.stdout


def test_codex_falls_back_from_websocket_when_it_is_answered_426(gateway, tmp_path):
    """The built-in provider dials a WebSocket first; 426 sends it to SSE without more dials."""
    before = len(gateway.access_log())
    result = run([CODEX, "exec", "--skip-git-repo-check", "-s", "read-only",
                  "-c", f'openai_base_url="{gateway.address}/v1"', "-c", 'model="m"',
                  "say hi"], tmp_path, {"CODEX_API_KEY": KEY})
    assert result.returncode == 0, result
    assert ANSWER in result.stdout
    statuses = [line["status"] for line in gateway.access_log()[before:]]
    assert statuses.count(426) <= 1, statuses


@pytest.mark.parametrize("model", ["claude-m", "m", "gemini-m", "bedrock-m"])
def test_claude_code_writes_a_file_by_a_tool_call_of_any_upstream(gateway, tmp_path, model):
    file = tmp_path / "work" / "note.txt"
    result = run([CLAUDE, "-p", f"write the file {file}", "--dangerously-skip-permissions"], tmp_path, {
        "ANTHROPIC_BASE_URL": gateway.address, "ANTHROPIC_AUTH_TOKEN": KEY, "ANTHROPIC_MODEL": model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "IS_SANDBOX": "1"})
    assert result.returncode == 0, result
    assert file.read_text(encoding="utf-8") == WRITTEN
    assert "21 degrees" in result.stdout


@pytest.mark.parametrize("model", ["m", "claude-m", "gemini-m"])
def test_codex_writes_a_file_by_a_tool_call_of_any_upstream(gateway, tmp_path, model):
    provider = (f'model_providers.accord={{name="accord",base_url="{gateway.address}/v1",'
                'env_key="ACCORD_KEY",wire_api="responses"}')
    result = run([CODEX, "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox",
                  "-c", 'model_provider="accord"', "-c", f'model="{model}"', "-c", provider,
                  "write the file note.txt"], tmp_path, {"ACCORD_KEY": KEY})
    assert result.returncode == 0, result
    assert (tmp_path / "work" / "note.txt").read_text(encoding="utf-8") == WRITTEN
    assert "21 degrees" in result.stdout


UPSTREAM = {"claude-m": "/v1/messages", "bedrock-m": "/model/upstream-b/converse-stream",
            "gemini-m": "/v1beta/models/upstream-g:streamGenerateContent?alt=sse"}


@pytest.mark.parametrize("model", ["claude-m", "bedrock-m"])
def test_gemini_cli_writes_a_file_by_a_tool_call_of_any_upstream(gateway, aimock, tmp_path, model):
    settings = tmp_path / ".gemini" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "general": {"enableAutoUpdate": False}, "privacy": {"usageStatisticsEnabled": False},
    }), encoding="utf-8")
    file = tmp_path / "work" / "note.txt"
    result = run([NODE, GEMINI, "-m", model, "--yolo", "-p", f"write the file {file}"], tmp_path, {
        "GOOGLE_GEMINI_BASE_URL": gateway.address, "GEMINI_API_KEY": KEY,
        "GEMINI_CLI_TRUST_WORKSPACE": "true"})
    assert result.returncode == 0, result
    assert file.read_text(encoding="utf-8") == WRITTEN
    assert "21 degrees" in result.stdout
    assert aimock.journal()[-1]["path"] == UPSTREAM[model]


@pytest.mark.parametrize("model", ["claude-m", "gemini-m"])
def test_opencode_writes_a_file_by_a_tool_call_of_any_upstream(gateway, aimock, tmp_path, model):
    config = tmp_path / "work" / "opencode.json"
    config.parent.mkdir()
    config.write_text(json.dumps({
        "share": "disabled", "autoupdate": False,
        "provider": {"accord": {
            "npm": "@ai-sdk/openai-compatible", "models": {model: {}},
            "options": {"baseURL": f"{gateway.address}/v1", "apiKey": KEY}}},
    }), encoding="utf-8")
    file = tmp_path / "work" / "note.txt"
    result = run([OPENCODE, "run", "-m", f"accord/{model}", f"write the file {file}"], tmp_path, {
        # Its plugins come from a registry, in the background: not here.
        "OPENCODE_DISABLE_MODELS_FETCH": "1", "HTTPS_PROXY": "http://127.0.0.1:1"})
    assert result.returncode == 0, result
    assert file.read_text(encoding="utf-8") == WRITTEN
    assert "21 degrees" in result.stdout
    assert aimock.journal()[-1]["path"] == UPSTREAM[model]
