"""Official SDKs, each against upstreams of other dialects than its own."""

import json

import pytest

from accord import KEY
from test_sdk_python import SCHEMA, TEXT, TOO_LONG, ask, genai_client
from tooling import require_python

OTHERS = ["m", "claude-m", "gemini-m", "ollama-m", "cohere-m", "bedrock-m"]
RESULT = "It is 21 degrees in Oslo."


def others_than(own):
    return pytest.mark.parametrize("model", [m for m in OTHERS if m != own])


@pytest.fixture
def openai(gateway):
    sdk = require_python("openai")
    with sdk.OpenAI(base_url=f"{gateway.address}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic(gateway):
    sdk = require_python("anthropic")
    with sdk.Anthropic(base_url=gateway.address, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def genai(gateway):
    return genai_client(gateway.address)


# ---- openai ----

@others_than("m")
def test_openai_chat(openai, model):
    answer = openai.chat.completions.create(model=model, messages=ask("hello"))
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"


@others_than("m")
def test_openai_stream(openai, model):
    chunks = list(openai.chat.completions.create(
        model=model, messages=ask("hello"), stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == TEXT
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] \
        == ["stop"]
    assert len({c.id for c in chunks}) == 1


@others_than("m")
@pytest.mark.parametrize("stream", [False, True])
def test_openai_tool_loop(openai, model, stream):
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
    messages = ask("the weather in Oslo?")
    if stream:
        with openai.chat.completions.stream(model=model, messages=messages, tools=tools) as events:
            first = events.get_final_completion()
    else:
        first = openai.chat.completions.create(model=model, messages=messages, tools=tools)
    assert first.choices[0].finish_reason == "tool_calls"
    call = first.choices[0].message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == \
        ("get_weather", {"city": "Oslo", "days": 2})
    messages += [first.choices[0].message.model_dump(exclude_none=True, exclude={"parsed"}),
                 {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    second = openai.chat.completions.create(model=model, messages=messages, tools=tools)
    assert second.choices[0].message.content == RESULT


@others_than("m")
def test_openai_error(openai, model):
    sdk = require_python("openai")
    with pytest.raises(sdk.BadRequestError, match=TOO_LONG):
        openai.chat.completions.create(model=model, messages=ask("too long"))


@others_than("m")
def test_openai_responses(openai, model):
    answer = openai.responses.create(model=model, input="hello")
    assert (answer.output_text, answer.status) == (TEXT, "completed")


@others_than("m")
def test_openai_responses_stream(openai, model):
    with openai.responses.stream(model=model, input="hello") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == TEXT
    assert [e.sequence_number for e in events if hasattr(e, "sequence_number")] == \
        list(range(len(events)))
    assert final.output_text == TEXT


@others_than("m")
@pytest.mark.parametrize("stream", [False, True])
def test_openai_responses_tool_loop(openai, model, stream):
    tools = [{"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}]
    items = ask("the weather in Oslo?")
    if stream:
        with openai.responses.stream(model=model, input=items, tools=tools) as events:
            first = events.get_final_response()
    else:
        first = openai.responses.create(model=model, input=items, tools=tools)
    call = next(item for item in first.output if item.type == "function_call")
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Oslo", "days": 2})
    items += [item.model_dump(exclude_none=True) for item in first.output]
    items += [{"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}]
    second = openai.responses.create(model=model, input=items, tools=tools)
    assert second.output_text == RESULT


# ---- anthropic ----

@others_than("claude-m")
def test_anthropic_chat(anthropic, model):
    answer = anthropic.messages.create(model=model, max_tokens=99, messages=ask("hello"))
    assert (answer.content[0].text, answer.stop_reason) == (TEXT, "end_turn")


@others_than("claude-m")
def test_anthropic_stream(anthropic, model):
    with anthropic.messages.stream(model=model, max_tokens=99, messages=ask("hello")) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert (text, final.content[0].text, final.stop_reason) == (TEXT, TEXT, "end_turn")


@others_than("claude-m")
@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_tool_loop(anthropic, model, stream):
    tools = [{"name": "get_weather", "input_schema": SCHEMA}]
    messages = ask("the weather in Oslo?")
    options = {"model": model, "max_tokens": 99, "tools": tools}
    if stream:
        with anthropic.messages.stream(messages=messages, **options) as events:
            first = events.get_final_message()
    else:
        first = anthropic.messages.create(messages=messages, **options)
    assert first.stop_reason == "tool_use"
    use = next(block for block in first.content if block.type == "tool_use")
    assert (use.name, use.input) == ("get_weather", {"city": "Oslo", "days": 2})
    messages += [{"role": "assistant", "content": first.content},
                 {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id,
                                               "content": "21 degrees"}]}]
    second = anthropic.messages.create(messages=messages, **options)
    assert second.content[0].text == RESULT


@others_than("claude-m")
def test_anthropic_error(anthropic, model):
    sdk = require_python("anthropic")
    with pytest.raises(sdk.BadRequestError, match=TOO_LONG):
        anthropic.messages.create(model=model, max_tokens=99, messages=ask("too long"))


# ---- google-genai ----

@others_than("gemini-m")
def test_genai_chat(genai, model):
    answer = genai.models.generate_content(model=model, contents="hello")
    assert answer.text == TEXT
    assert answer.candidates[0].finish_reason == "STOP"


@others_than("gemini-m")
def test_genai_stream(genai, model):
    parts = list(genai.models.generate_content_stream(model=model, contents="hello"))
    assert "".join(part.text or "" for part in parts) == TEXT
    assert parts[-1].candidates[0].finish_reason == "STOP"


@others_than("gemini-m")
@pytest.mark.parametrize("stream", [False, True])
def test_genai_tool_loop(genai, model, stream):
    types = require_python("google.genai").types
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[types.FunctionDeclaration(
            name="get_weather", parameters_json_schema=SCHEMA)])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True))
    contents = [types.Content(role="user", parts=[types.Part(text="the weather in Oslo?")])]
    options = {"model": model, "config": config}
    if stream:
        first = [p for p in genai.models.generate_content_stream(contents=contents, **options)
                 if p.function_calls][0]
    else:
        first = genai.models.generate_content(contents=contents, **options)
    call = first.function_calls[0]
    assert (call.name, call.args) == ("get_weather", {"city": "Oslo", "days": 2})
    contents += [first.candidates[0].content,
                 types.Content(role="user", parts=[types.Part.from_function_response(
                     name=call.name, response={"result": "21 degrees"})])]
    second = genai.models.generate_content(contents=contents, **options)
    assert second.text == RESULT


@others_than("gemini-m")
def test_genai_error(genai, model):
    errors = require_python("google.genai.errors")
    with pytest.raises(errors.ClientError, match=TOO_LONG) as caught:
        genai.models.generate_content(model=model, contents="too long")
    assert caught.value.code == 400


# ---- mistralai, cohere, ollama, boto3: SDKs of dialects that have no provider of their own in most houses ----

TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "The weather.",
                                           "parameters": SCHEMA}}]


@pytest.fixture
def mistral(gateway):
    require_python("mistralai")
    from mistralai.client import Mistral
    with Mistral(api_key=KEY, server_url=gateway.address) as client:
        yield client


@others_than("m")
def test_mistral_chat_and_stream(mistral, model):
    answer = mistral.chat.complete(model=model, messages=ask("hello"))
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (TEXT, "stop")
    events = [e.data for e in mistral.chat.stream(model=model, messages=ask("hello"))]
    assert "".join(e.choices[0].delta.content or "" for e in events if e.choices) == TEXT


def mistral_streamed(events):
    """The message that a stream makes; this SDK is told each call in one piece."""
    deltas = [e.data.choices[0].delta for e in events if e.data.choices]
    return {"role": "assistant", "content": "",
            "tool_calls": [call for delta in deltas for call in delta.tool_calls or []]}


@others_than("m")
@pytest.mark.parametrize("stream", [False, True])
def test_mistral_tool_loop(mistral, model, stream):
    messages = ask("the weather in Oslo?")
    options = {"model": model, "tools": TOOLS}
    if stream:
        message = mistral_streamed(mistral.chat.stream(messages=messages, **options))
        [call] = message["tool_calls"]
    else:
        message = mistral.chat.complete(messages=messages, **options).choices[0].message
        [call] = message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == \
        ("get_weather", {"city": "Oslo", "days": 2})
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    second = mistral.chat.complete(messages=messages, **options)
    assert second.choices[0].message.content == RESULT


def test_mistral_lists_models_and_embeds(mistral, gateway):
    names = [m.id for m in mistral.models.list().data]
    assert {"m", "sim/echo"} <= set(names)
    assert mistral.models.retrieve(model_id="sim/echo").capabilities.completion_chat
    assert len(mistral.embeddings.create(model="sim/echo", inputs=["a", "b"]).data) == 2


@others_than("m")
def test_mistral_error(mistral, model):
    errors = require_python("mistralai.client.errors")
    with pytest.raises(errors.MistralError, match=TOO_LONG) as caught:
        mistral.chat.complete(model=model, messages=ask("too long"))
    assert caught.value.status_code == 400


@pytest.fixture
def cohere(gateway):
    return require_python("cohere").ClientV2(api_key=KEY, base_url=gateway.address)


@others_than("cohere-m")
def test_cohere_chat_and_stream(cohere, model):
    answer = cohere.chat(model=model, messages=ask("hello"))
    assert (answer.message.content[0].text, answer.finish_reason) == (TEXT, "COMPLETE")
    events = list(cohere.chat_stream(model=model, messages=ask("hello")))
    assert "".join(e.delta.message.content.text for e in events if e.type == "content-delta") == TEXT
    assert events[-1].type == "message-end"


@others_than("cohere-m")
def test_cohere_tool_loop(cohere, model):
    messages = ask("the weather in Oslo?")
    first = cohere.chat(model=model, messages=messages, tools=TOOLS)
    assert first.finish_reason == "TOOL_CALL"
    call = first.message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == \
        ("get_weather", {"city": "Oslo", "days": 2})
    messages += [first.message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    assert cohere.chat(model=model, messages=messages, tools=TOOLS).message.content[0].text == RESULT


@others_than("cohere-m")
def test_cohere_error(cohere, model):
    errors = require_python("cohere.errors")
    with pytest.raises(errors.BadRequestError, match=TOO_LONG):
        cohere.chat(model=model, messages=ask("too long"))


@pytest.fixture
def ollama(gateway):
    sdk = require_python("ollama")
    return sdk.Client(host=gateway.address, headers={"Authorization": f"Bearer {KEY}"})


@others_than("ollama-m")
def test_ollama_chat_generate_and_stream(ollama, model):
    answer = ollama.chat(model=model, messages=ask("hello"))
    assert (answer.message.content, answer.done_reason) == (TEXT, "stop")
    assert ollama.generate(model=model, prompt="hello").response == TEXT
    parts = list(ollama.chat(model=model, messages=ask("hello"), stream=True))
    assert "".join(p.message.content or "" for p in parts) == TEXT
    assert [p.done for p in parts] == [False] * (len(parts) - 1) + [True]


@others_than("ollama-m")
def test_ollama_tool_loop(ollama, model):
    messages = ask("the weather in Oslo?")
    first = ollama.chat(model=model, messages=messages, tools=TOOLS)
    call = first.message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == \
        ("get_weather", {"city": "Oslo", "days": 2})
    messages += [first.message, {"role": "tool", "tool_name": "get_weather", "content": "21 degrees"}]
    assert ollama.chat(model=model, messages=messages, tools=TOOLS).message.content == RESULT


@others_than("ollama-m")
def test_ollama_error(ollama, model):
    sdk = require_python("ollama")
    with pytest.raises(sdk.ResponseError, match=TOO_LONG) as caught:
        ollama.chat(model=model, messages=ask("too long"))
    assert caught.value.status_code == 400


@pytest.fixture
def bedrock(gateway):
    boto3 = require_python("boto3")
    # It signs; the key of the gateway is its access key id.
    return boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=gateway.address,
                        aws_access_key_id=KEY, aws_secret_access_key="unused",
                        config=require_python("botocore.config").Config(retries={"max_attempts": 1}))


def said(text):
    return [{"role": "user", "content": [{"text": text}]}]


@others_than("bedrock-m")
def test_boto3_chat_and_stream(bedrock, model):
    answer = bedrock.converse(modelId=model, messages=said("hello"))
    assert (answer["output"]["message"]["content"][0]["text"], answer["stopReason"]) == \
        (TEXT, "end_turn")
    events = list(bedrock.converse_stream(modelId=model, messages=said("hello"))["stream"])
    assert "".join(e["contentBlockDelta"]["delta"]["text"] for e in events
                   if "contentBlockDelta" in e) == TEXT
    assert [k for e in events for k in e if k != "contentBlockDelta"] == \
        ["messageStart", "contentBlockStop", "messageStop", "metadata"]


@others_than("bedrock-m")
def test_boto3_tool_loop(bedrock, model):
    tools = {"tools": [{"toolSpec": {"name": "get_weather", "description": "The weather.",
                                     "inputSchema": {"json": SCHEMA}}}]}
    messages = said("the weather in Oslo?")
    first = bedrock.converse(modelId=model, messages=messages, toolConfig=tools)
    assert first["stopReason"] == "tool_use"
    use = next(b["toolUse"] for b in first["output"]["message"]["content"] if "toolUse" in b)
    assert (use["name"], use["input"]) == ("get_weather", {"city": "Oslo", "days": 2})
    messages += [first["output"]["message"], {"role": "user", "content": [
        {"toolResult": {"toolUseId": use["toolUseId"], "content": [{"text": "21 degrees"}]}}]}]
    second = bedrock.converse(modelId=model, messages=messages, toolConfig=tools)
    assert second["output"]["message"]["content"][0]["text"] == RESULT


@others_than("bedrock-m")
def test_boto3_error(bedrock, model):
    with pytest.raises(bedrock.exceptions.ValidationException, match=TOO_LONG):
        bedrock.converse(modelId=model, messages=said("too long"))
