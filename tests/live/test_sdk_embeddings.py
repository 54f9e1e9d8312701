"""Vectors by the official SDKs, Python and JavaScript, each from vendors of every other dialect."""

import json

import pytest

from accord import Accord, KEY
from hostile import Hostile
from tooling import require_python, run_node
from vectors import Vendors, vector, vector_config

MODELS = ["m", "gemini-m", "cohere-m", "ollama-m", "bedrock-m", "titan-m"]
OWN = {"bedrock": ["bedrock-m", "titan-m"],  # the body is one of the vendor's own, and passes
       "mistral": ["m"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    upstream = Hostile()
    upstream.answer = Vendors()
    accord = Accord(tmp_path_factory.mktemp("vectors"), vector_config(upstream.url))
    yield accord
    accord.stop()
    upstream.stop()
    assert not upstream.errors, upstream.errors


# ---- JavaScript ----

FILES = ["openai", "genai", "vercel", "mistral", "cohere", "ollama", "bedrock"]


@pytest.fixture(scope="module")
def returned(node, server):
    files = {}

    def look_up(file, model):
        if file not in files:
            models = [m for m in MODELS if m not in OWN.get(file, [])]
            files[file] = run_node(f"{file}.mjs", "embeddings", server.address, KEY, models)
        return files[file]["embeddings"][model]

    return look_up


@pytest.mark.parametrize("file, model", [(f, m) for f in FILES for m in MODELS if m not in OWN.get(f, [])])
def test_javascript(returned, file, model):
    assert returned(file, model).get("vector") == vector("hello"), returned(file, model)


# ---- Python ----

@pytest.mark.parametrize("model", ["m", "cohere-m", "titan-m"])
def test_several_by_genai(server, model):
    from test_sdk_python import genai_client
    client = genai_client(server.address)
    answer = client.models.embed_content(model=model, contents=["hello", "you"])
    assert [list(e.values) for e in answer.embeddings] == [vector("hello"), vector("you")]


def by_openai(server, model):
    with require_python("openai").OpenAI(base_url=f"{server.address}/v1", api_key=KEY,
                                         max_retries=0) as client:
        return client.embeddings.create(model=model, input="hello").data[0].embedding


def by_genai(server, model):
    from test_sdk_python import genai_client
    client = genai_client(server.address)
    answer = client.models.embed_content(model=model, contents="hello")
    return answer.embeddings[0].values


def by_mistral(server, model):
    require_python("mistralai")
    from mistralai.client import Mistral
    with Mistral(api_key=KEY, server_url=server.address) as client:
        return client.embeddings.create(model=model, inputs=["hello"]).data[0].embedding


def by_cohere(server, model):
    client = require_python("cohere").ClientV2(api_key=KEY, base_url=server.address)
    answer = client.embed(model=model, texts=["hello"], input_type="search_query",
                          embedding_types=["float"])
    return answer.embeddings.float_[0]


def by_ollama(server, model):
    client = require_python("ollama").Client(host=server.address,
                                             headers={"Authorization": f"Bearer {KEY}"})
    return list(client.embed(model=model, input="hello").embeddings[0])


def by_bedrock(server, model):
    client = require_python("boto3").client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=server.address,
        aws_access_key_id=KEY, aws_secret_access_key="unused")
    answer = client.invoke_model(modelId=model, body=json.dumps({"inputText": "hello"}))
    return json.loads(answer["body"].read())["embedding"]


def by_langchain_openai(server, model):
    langchain = require_python("langchain_openai")
    # Left alone it sends numbers of tokens, which only OpenAI understands.
    return langchain.OpenAIEmbeddings(base_url=f"{server.address}/v1", api_key=KEY, model=model,
                                      check_embedding_ctx_length=False).embed_query("hello")


def by_langchain_ollama(server, model):
    langchain = require_python("langchain_ollama")
    return langchain.OllamaEmbeddings(
        base_url=server.address, model=model,
        client_kwargs={"headers": {"Authorization": f"Bearer {KEY}"}}).embed_query("hello")


SDKS = [by_openai, by_genai, by_mistral, by_cohere, by_ollama, by_bedrock, by_langchain_openai,
        by_langchain_ollama]


@pytest.mark.parametrize("sdk, model", [
    (s, m) for s in SDKS for m in MODELS if m not in OWN.get(s.__name__.removeprefix("by_"), [])])
def test_python(server, sdk, model):
    assert list(sdk(server, model)) == vector("hello")


@pytest.mark.parametrize("model", ["cohere-m", "m"])
def test_rerank_by_cohere(server, model):
    client = require_python("cohere").ClientV2(api_key=KEY, base_url=server.address)
    answer = client.rerank(model=model, query="q", documents=["a", "bb", "ccc"], top_n=2)
    assert [r.index for r in answer.results] == [2, 1]
