"""The official Python SDKs, with nothing changed but base URL and key."""

import struct

import pytest

import answers
from accord import KEY, config_for
from tooling import require_python

TEXT = "Bonjour \u00e9l\u00e8ve \U0001f600, says the mock."
TOO_LONG = "prompt is too long: 210000 tokens > 200000 maximum"
WRONG_KEY = "sk-accord-wrong-key-000"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def ask(content):
    return [{"role": "user", "content": content}]


@pytest.fixture
def openai(gateway):
    sdk = require_python("openai")
    with sdk.OpenAI(base_url=f"{gateway.address}/v1", api_key=KEY) as client:
        yield client


@pytest.fixture
def anthropic(gateway):
    sdk = require_python("anthropic")
    with sdk.Anthropic(base_url=gateway.address, api_key=KEY) as client:
        yield client


def genai_client(address, key=KEY):
    sdk = require_python("google.genai")
    # The version that the outside upstream knows; /v1 is covered by test_passthrough.
    return sdk.Client(api_key=key, http_options={"base_url": address, "api_version": "v1beta"})


@pytest.fixture
def genai(gateway):
    return genai_client(gateway.address)


def test_openai_chat(openai):
    answer = openai.chat.completions.create(model="m", messages=ask("hello"))
    assert answer.choices[0].message.content == TEXT
    assert answer.usage.total_tokens == 16
    assert answer._request_id


def test_openai_stream_without_asking_for_usage_shows_none(openai):
    stream = openai.chat.completions.create(model="m", messages=ask("hello"), stream=True)
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == TEXT
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(c.usage is None for c in chunks)


def test_openai_stream_with_usage(openai):
    chunks = list(openai.chat.completions.create(
        model="m", messages=ask("hello"), stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 5


def test_openai_tool_call_and_result(openai):
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
    messages = ask("the weather in Oslo?")
    first = openai.chat.completions.create(model="m", messages=messages, tools=tools)
    call = first.choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == \
        ("get_weather", '{"city":"Oslo","days":2}')
    messages += [first.choices[0].message,
                 {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    second = openai.chat.completions.create(model="m", messages=messages, tools=tools)
    assert second.choices[0].message.content == "It is 21 degrees in Oslo."


def test_openai_responses_stream(openai):
    events = list(openai.responses.create(model="m", input="hello", stream=True))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == TEXT
    assert events[-1].type == "response.completed"


def test_openai_embeddings(openai):
    assert openai.embeddings.create(model="m", input="hello").data[0].embedding == [0.25, -0.5, 1]


def test_openai_embeddings_in_base64_are_bit_equal(start, upstream):
    sdk = require_python("openai")
    server = start(config_for(upstream.url))
    with sdk.OpenAI(base_url=f"{server.address}/v1", api_key=KEY) as client:
        vector = client.embeddings.create(model="m", input="hello").data[0].embedding
    assert b'"base64"' in upstream.last.body
    assert struct.pack("<2f", *vector) == bytes.fromhex("0000803f00000040")


def test_openai_upstream_error_keeps_status_and_text(openai):
    sdk = require_python("openai")
    with pytest.raises(sdk.BadRequestError, match=TOO_LONG) as caught:
        openai.chat.completions.create(model="m", messages=ask("too long"))
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.request_id


def test_openai_wrong_key_is_an_authentication_error(openai):
    sdk = require_python("openai")
    with pytest.raises(sdk.AuthenticationError) as caught:
        openai.with_options(api_key=WRONG_KEY).chat.completions.create(
            model="m", messages=ask("hello"))
    assert caught.value.request_id
    assert WRONG_KEY not in str(caught.value)


def test_openai_unknown_model_is_a_not_found_error(openai):
    sdk = require_python("openai")
    with pytest.raises(sdk.NotFoundError, match="no-such-model") as caught:
        openai.chat.completions.create(model="no-such-model", messages=ask("hello"))
    assert caught.value.code == "model_not_found"


def test_openai_retries_a_500(openai):
    answer = openai.chat.completions.create(model="m", messages=ask("busy once openai-py"))
    assert answer.choices[0].message.content == TEXT


def test_anthropic_chat(anthropic):
    answer = anthropic.messages.create(model="claude-m", max_tokens=99, messages=ask("hello"))
    assert (answer.content[0].text, answer.usage.output_tokens) == (TEXT, 5)
    assert answer._request_id


def test_anthropic_stream(anthropic):
    with anthropic.messages.stream(model="claude-m", max_tokens=99,
                                   messages=ask("hello")) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert (text, final.content[0].text, final.stop_reason) == (TEXT, TEXT, "end_turn")


def test_anthropic_tool_call_and_result(anthropic):
    tools = [{"name": "get_weather", "input_schema": SCHEMA}]
    messages = ask("the weather in Oslo?")
    first = anthropic.messages.create(model="claude-m", max_tokens=99, messages=messages,
                                      tools=tools)
    use = next(block for block in first.content if block.type == "tool_use")
    assert (use.name, use.input) == ("get_weather", {"city": "Oslo", "days": 2})
    messages += [{"role": "assistant", "content": first.content},
                 {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id,
                                               "content": "21 degrees"}]}]
    second = anthropic.messages.create(model="claude-m", max_tokens=99, messages=messages,
                                       tools=tools)
    assert second.content[0].text == "It is 21 degrees in Oslo."


def test_anthropic_upstream_error_keeps_status_and_text(anthropic):
    sdk = require_python("anthropic")
    with pytest.raises(sdk.BadRequestError, match=TOO_LONG) as caught:
        anthropic.messages.create(model="claude-m", max_tokens=99, messages=ask("too long"))
    assert caught.value.request_id


def test_anthropic_wrong_key_is_an_authentication_error(anthropic):
    sdk = require_python("anthropic")
    with pytest.raises(sdk.AuthenticationError) as caught:
        anthropic.with_options(api_key=WRONG_KEY).messages.create(
            model="claude-m", max_tokens=99, messages=ask("hello"))
    assert caught.value.body["error"]["type"] == "authentication_error"
    assert caught.value.request_id


def test_anthropic_retries_a_500(anthropic):
    answer = anthropic.messages.create(model="claude-m", max_tokens=99,
                                       messages=ask("busy once anthropic-py"))
    assert answer.content[0].text == TEXT


def test_genai_chat(genai):
    answer = genai.models.generate_content(model="gemini-m", contents="hello")
    assert (answer.text, answer.usage_metadata.total_token_count) == (TEXT, 16)


def test_genai_stream(genai):
    parts = list(genai.models.generate_content_stream(model="gemini-m", contents="hello"))
    assert "".join(part.text or "" for part in parts) == TEXT
    assert parts[-1].candidates[0].finish_reason == "STOP"


def test_genai_tool_call_and_result(genai):
    types = require_python("google.genai").types
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[types.FunctionDeclaration(
            name="get_weather", parameters_json_schema=SCHEMA)])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True))
    contents = [types.Content(role="user", parts=[types.Part(text="the weather in Oslo?")])]
    first = genai.models.generate_content(model="gemini-m", contents=contents, config=config)
    call = first.function_calls[0]
    assert (call.name, call.args) == ("get_weather", {"city": "Oslo", "days": 2})
    contents += [first.candidates[0].content,
                 types.Content(role="user", parts=[types.Part.from_function_response(
                     name=call.name, response={"result": "21 degrees"})])]
    second = genai.models.generate_content(model="gemini-m", contents=contents, config=config)
    assert second.text == "It is 21 degrees in Oslo."


def test_genai_embeddings(start, upstream):
    require_python("google.genai")
    upstream.answer = lambda peer, request: peer.send(answers.whole(
        b'{"embeddings":[{"values":[0.25,-0.5,1]}]}'))
    server = start(config_for(upstream.url))
    client = genai_client(server.address)
    answer = client.models.embed_content(model="gemini-m", contents="hello")
    assert answer.embeddings[0].values == [0.25, -0.5, 1]


def test_genai_upstream_error_keeps_status_and_text(genai):
    errors = require_python("google.genai.errors")
    with pytest.raises(errors.ClientError, match=TOO_LONG) as caught:
        genai.models.generate_content(model="gemini-m", contents="too long")
    assert caught.value.code == 400


def test_genai_wrong_key_is_refused_in_its_dialect(gateway):
    errors = require_python("google.genai.errors")
    client = genai_client(gateway.address, WRONG_KEY)
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model="gemini-m", contents="hello")
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")


def test_requests_and_httpx_read_the_same_answer(gateway):
    requests, httpx = require_python("requests"), require_python("httpx")
    call = {"json": {"model": "m", "messages": ask("hello")},
            "headers": {"Authorization": f"Bearer {KEY}"}}
    url = f"{gateway.address}/v1/chat/completions"
    for answer in (requests.post(url, timeout=30, **call), httpx.post(url, **call)):
        assert answer.json()["choices"][0]["message"]["content"] == TEXT
