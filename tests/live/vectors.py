"""Strict servers of vectors, one for each dialect, told apart by the path."""

import base64
import json
import struct
from urllib.parse import unquote

from accord import config_for
from answers import whole

TITAN, BEDROCK_COHERE = "amazon.titan-embed-text-v2:0", "cohere.embed-multilingual-v3"


def vector(text):
    return [len(text) / 4, 0.5, -1.25]


def say(peer, value, status=200):
    peer.send(whole(json.dumps(value).encode(), status=status))


class Vendors:
    """Strict servers of vectors, one per dialect, told apart by the path."""

    def __init__(self):
        self.calls = []

    def __call__(self, peer, request):
        path = request.target.split("?")[0]
        body = json.loads(request.body)
        self.calls.append((path, body))
        if isinstance(body.get("input"), str):
            body["input"] = [body["input"]]
        if path == "/v1/embeddings":
            self.openai(peer, body)
        elif path.endswith(":embedContent"):
            assert set(body) <= {"content", "taskType", "outputDimensionality"}
            say(peer, {"embedding": {"values": vector(body["content"]["parts"][0]["text"])}})
        elif path.endswith(":batchEmbedContents"):
            assert all(r["model"] == "models/" + path.split("/models/")[1].split(":")[0]
                       for r in body["requests"])
            assert len(body["requests"]) <= 100
            say(peer, {"embeddings": [{"values": vector(r["content"]["parts"][0]["text"])}
                                      for r in body["requests"]]})
        elif path == "/v2/embed":
            self.cohere(peer, body)
        elif path == "/api/embed":
            say(peer, {"model": body["model"], "embeddings": [vector(t) for t in body["input"]],
                       "prompt_eval_count": 2 * len(body["input"])})
        elif path.startswith("/model/") and "cohere" in path:
            self.cohere(peer, body)
        elif path.startswith("/model/"):
            assert unquote(path) == "/model/amazon.titan-embed-text-v2:0/invoke"
            assert set(body) <= {"inputText", "dimensions", "embeddingTypes"}
            say(peer, {"embedding": vector(body["inputText"]), "inputTextTokenCount": 2,
                       "embeddingsByType": {"float": vector(body["inputText"])}})
        elif path.endswith("/rerank"):
            order = sorted(range(len(body["documents"])), key=lambda i: -len(body["documents"][i]))
            say(peer, {"id": "r", "results": [{"index": i, "relevance_score": 0.5}
                                              for i in order[:body.get("top_n")]]})
        else:
            say(peer, {"error": {"message": "no such path: " + path}}, 404)

    @staticmethod
    def openai(peer, body):
        assert set(body) <= {"model", "input", "encoding_format", "dimensions", "user"}
        spell = ((lambda v: base64.b64encode(struct.pack("<3f", *v)).decode())
                 if body.get("encoding_format") == "base64" else (lambda v: v))
        say(peer, {"object": "list", "model": body["model"],
                   "data": [{"object": "embedding", "index": i, "embedding": spell(vector(t))}
                            for i, t in enumerate(body["input"])],
                   "usage": {"prompt_tokens": 2 * len(body["input"]),
                             "total_tokens": 2 * len(body["input"])}})

    @staticmethod
    def cohere(peer, body):
        assert body["input_type"] and len(body["texts"]) <= 96
        say(peer, {"id": "e", "embeddings": {"float": [vector(t) for t in body["texts"]]},
                   "texts": body["texts"], "response_type": "embeddings_by_type",
                   "meta": {"billed_units": {"input_tokens": 2 * len(body["texts"])}}})


def vector_config(url):
    """The usual models, those of Bedrock being models of vectors: bedrock-m of Cohere's, titan-m of Amazon's."""
    config = config_for(url)
    bedrock = next(p["id"] for p in config["providers"] if p["dialect"] == "bedrock")
    config["models"].append({"id": "titan-m", "targets": [{"provider": bedrock, "model": TITAN}]})
    next(m for m in config["models"] if m["id"] == "bedrock-m")["targets"][0]["model"] = BEDROCK_COHERE
    return config
