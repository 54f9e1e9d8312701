"""The JavaScript SDKs, each against upstreams of other dialects than its own.

One Node process for each file of js/ does all its scenarios with all models; a test judges one of
the results.
"""

import pytest

from accord import KEY
from test_sdk_across import OTHERS, RESULT
from test_sdk_python import TEXT, TOO_LONG
from tooling import run_node

TOOL = {"name": "get_weather", "arguments": {"city": "Oslo", "days": 2}, "text": RESULT}
SEEN = {"called": [TOOL["arguments"]], "text": RESULT, "steps": 2}
TWICE = {"text": TEXT, "streamed": TEXT}


def refused(name, status=400):
    return {"name": name, "status": status}


def scenarios(said, tool, error, limit):
    return {"chat": said, "stream": said, "tool": tool, "toolStream": tool,
            "error": error, "limit": limit}


def of_provider(provider, both, tool, error):
    return {provider: both, f"{provider}-tool": tool, f"{provider}-toolStream": tool,
            f"{provider}-error": error}


# File of js/, model of its own dialect, what its scenarios return.
SDKS = [
    ("openai", "m", scenarios(
        {"text": TEXT, "finish": "stop"}, {**TOOL, "stop": "tool_calls"},
        refused("BadRequestError"), {**refused("RateLimitError", 429), "retryAfter": "7"})),
    ("openai", "m", {
        "responses": {**TWICE, "last": "response.completed"},
        "responsesTool": {**TOOL, "stop": "completed"},
        "responsesToolStream": {**TOOL, "stop": "completed"},
        "responsesError": refused("BadRequestError")}),
    ("anthropic", "claude-m", scenarios(
        {"text": TEXT, "stop": "end_turn"}, {**TOOL, "stop": "tool_use"},
        refused("BadRequestError"), {**refused("RateLimitError", 429), "retryAfter": "7"})),
    ("genai", "gemini-m", scenarios(
        {"text": TEXT, "finish": "STOP"}, TOOL, refused("ApiError"), refused("ApiError", 429))),
    ("mistral", "m", scenarios(
        {"text": TEXT, "finish": "stop"}, {**TOOL, "stop": "tool_calls"},
        refused("SDKError"), refused("SDKError", 429))),
    ("cohere", "cohere-m", scenarios(
        {"text": TEXT, "finish": "COMPLETE"}, {**TOOL, "stop": "TOOL_CALL"},
        refused("BadRequestError"), refused("TooManyRequestsError", 429))),
    ("ollama", "ollama-m", scenarios(
        {"text": TEXT, "finish": "stop"}, TOOL,
        refused("ResponseError"), refused("ResponseError", 429))),
    ("ollama", "ollama-m", {"generate": TWICE}),
    ("bedrock", "bedrock-m", scenarios(
        {"text": TEXT, "stop": "end_turn"}, {**TOOL, "stop": "tool_use"},
        refused("ValidationException"), refused("ThrottlingException", 429))),
    *[("vercel", own, of_provider(
        provider, {**TWICE, "finish": "stop"}, SEEN, refused("APICallError")))
      for provider, own in [("chat", "m"), ("responses", "m"), ("anthropic", "claude-m"),
                            ("google", "gemini-m")]],
    *[("langchain", own, of_provider(provider, TWICE, TOOL, error))
      for provider, own, error in [
          ("chat", "m", refused("BadRequestError")),
          ("responses", "m", refused("BadRequestError")),
          # It knows by the text what it is, and has no status then.
          ("anthropic", "claude-m", refused("ContextOverflowError", None))]],
]
WANTED = {(file, scenario, model): wanted
          for file, own, told in SDKS for scenario, wanted in told.items()
          for model in OTHERS if model != own}
SAID_OF_FAILURE = {400: TOO_LONG, None: TOO_LONG, 429: "slow down, please"}


@pytest.fixture(scope="module")
def returned(node, gateway):
    """A function of (file, scenario, model): what the scenario returned."""
    files = {}

    def look_up(file, scenario, model):
        if file not in files:
            wanted = dict.fromkeys(name for of, name, _ in WANTED if of == file)
            files[file] = run_node(f"{file}.mjs", ",".join(wanted), gateway.address, KEY, OTHERS)
        return files[file][scenario][model]

    return look_up


@pytest.mark.parametrize("file, scenario, model", WANTED, ids=["-".join(name) for name in WANTED])
def test_javascript_sdk_reads_what_another_dialect_answered(returned, file, scenario, model):
    wanted, result = WANTED[file, scenario, model], returned(file, scenario, model)
    assert {name: result.get(name) for name in wanted} == wanted, result
    if "status" in wanted:
        assert SAID_OF_FAILURE[wanted["status"]] in result["message"]
