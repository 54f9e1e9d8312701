"""Accord between the callers and the providers: its configuration, in one place."""

from accord import KEY

from .callers import Place
from .upstream import AWS_ACCESS, AWS_SECRET, SECRET
from .upstreams import PROVIDER

# The dialect of the upstream: (name of the model here, the provider's own fields)
UP = {
    "openai.chat": ("up-chat", {"dialect": "openai", "api": "chat"}),
    "openai.responses": ("up-responses", {"dialect": "openai", "api": "responses"}),
    "anthropic.messages": ("up-messages", {"dialect": "anthropic"}),
    "gemini.generate": ("up-generate", {"dialect": "gemini"}),
    "ollama.chat": ("up-ollama", {"dialect": "ollama"}),
    "cohere.chat": ("up-cohere", {"dialect": "cohere"}),
    "bedrock.converse": ("up-converse", {"dialect": "bedrock", "region": "us-east-1",
                                         "credential": f"{AWS_ACCESS}:{AWS_SECRET}"}),
}


def config(url):
    providers, models = [], []
    for dialect, (name, fields) in UP.items():
        base = f"{url}/v1" if fields["dialect"] == "openai" else url
        providers.append({"id": f"p{name[2:]}", "base_url": base, "credential": SECRET,
                          "allow_private_address": True, **fields})
        models.append({"id": name, "targets": [
            {"provider": f"p{name[2:]}", "model": PROVIDER[dialect].model}]})
    return {"workers": 2, "fetch": {"allow_private_address": True}, "providers": providers, "models": models,
            "keys": [{"id": "lab", "secret": KEY, "models": ["*"]}]}


def place(accord):
    return Place(accord.port, KEY)


def model_of(dialect):
    return UP[dialect][0]
