"""The seven callers, by the name of their dialect."""

from .caller import Place
from .caller_chat import Chat
from .caller_cohere import Cohere
from .caller_converse import Converse
from .caller_generate import Generate
from .caller_messages import Messages
from .caller_ollama import Ollama
from .caller_responses import Responses

CALLER = {c.dialect: c for c in (Chat(), Responses(), Messages(), Generate(), Ollama(), Cohere(), Converse())}

__all__ = ["CALLER", "Place"]
