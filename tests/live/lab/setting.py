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


# Who has been told to wait is not asked again before that, so each call to be refused has a provider of its own.
LIMITED = [(caller, stream) for caller in UP for stream in (False, True)]


def config(url):
    providers, models = [], []
    for dialect, (name, fields) in UP.items():
        base = f"{url}/v1" if fields["dialect"] == "openai" else url
        for model in [name, *(limited_model_of(dialect, *limited) for limited in LIMITED)]:
            providers.append({"id": f"p{model[2:]}", "base_url": base, "credential": SECRET,
                              "allow_private_address": True, **fields})
            models.append({"id": model, "targets": [
                {"provider": f"p{model[2:]}", "model": PROVIDER[dialect].model}]})
    return {"workers": 2, "fetch": {"allow_private_address": True}, "providers": providers, "models": models,
            "keys": [{"id": "lab", "secret": KEY, "models": ["*"]}]}


def place(accord):
    return Place(accord.port, KEY)


def model_of(dialect):
    return UP[dialect][0]


def limited_model_of(dialect, caller, stream):
    return f"{UP[dialect][0]}-limited-{LIMITED.index((caller, stream))}"
