"""LangChain's Python packages, each against upstreams of other dialects than its own."""

import functools

import pytest

from accord import KEY
from test_sdk_across import OTHERS, RESULT
from test_sdk_python import SCHEMA, TEXT, TOO_LONG
from tooling import require_python

TOOL = {"name": "get_weather", "description": "The weather.", "parameters": SCHEMA}


def openai(address, model, **more):
    return require_python("langchain_openai").ChatOpenAI(
        model=model, base_url=f"{address}/v1", api_key=KEY, max_retries=0, **more)


def openai_responses(address, model):
    return openai(address, model, use_responses_api=True)


def anthropic(address, model):
    return require_python("langchain_anthropic").ChatAnthropic(
        model=model, base_url=address, api_key=KEY, max_retries=0)


def google(address, model):
    return require_python("langchain_google_genai").ChatGoogleGenerativeAI(
        model=model, base_url=address, api_key=KEY, max_retries=1)


def ollama(address, model):
    return require_python("langchain_ollama").ChatOllama(
        model=model, base_url=address,
        client_kwargs={"headers": {"Authorization": f"Bearer {KEY}"}})


@functools.cache  # a client of botocore takes long to make, and does not hold the model
def bedrock_client(address):
    return require_python("boto3").client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=address,
        aws_access_key_id=KEY, aws_secret_access_key="unused")


def bedrock(address, model):
    return require_python("langchain_aws").ChatBedrockConverse(
        model=model, provider="anthropic", client=bedrock_client(address),
        bedrock_client=bedrock_client(address), disable_streaming=False)


# What it is made by, the model of its own dialect, and the SDK's error that a refusal becomes.
PACKAGES = [
    (openai, "m", "openai", "BadRequestError"),
    (openai_responses, "m", "openai", "BadRequestError"),
    (anthropic, "claude-m", "anthropic", "BadRequestError"),
    (google, "gemini-m", "langchain_google_genai.chat_models", "ChatGoogleGenerativeAIError"),
    (ollama, "ollama-m", "ollama", "ResponseError"),
    (bedrock, "bedrock-m", "botocore.exceptions", "ClientError"),
]
PAIRS = [(*package, model) for package in PACKAGES for model in OTHERS if model != package[1]]


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0].__name__}-{pair[-1]}")
def pair(request, gateway):
    """A chat model, and the class of its error."""
    make, _, module, error, model = request.param
    return make(gateway.address, model), getattr(require_python(module), error)


def gathered(pieces):
    """The message that the pieces of a stream make, and how many there were."""
    whole, count = None, 0
    for piece in pieces:
        whole, count = piece if whole is None else whole + piece, count + 1
    return whole, count


def test_langchain_chat_and_stream(pair):
    chat, _ = pair
    assert str(chat.invoke("hello").text) == TEXT
    whole, count = gathered(chat.stream("hello"))
    assert str(whole.text) == TEXT
    assert count > 3, "nothing was streamed"


@pytest.mark.parametrize("stream", [False, True])
def test_langchain_tool_loop(pair, stream):
    messages = require_python("langchain_core.messages")
    chat = pair[0].bind_tools([TOOL])
    history = [messages.HumanMessage("the weather in Oslo?")]
    first = gathered(chat.stream(history))[0] if stream else chat.invoke(history)
    call = first.tool_calls[0]
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Oslo", "days": 2})
    history += [first, messages.ToolMessage("21 degrees", tool_call_id=call["id"])]
    assert str(chat.invoke(history).text) == RESULT


def test_langchain_error(pair):
    chat, error = pair
    with pytest.raises(error, match=TOO_LONG):
        chat.invoke("too long")
