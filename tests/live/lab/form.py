"""What both halves of the lab agree on: a call and its answer in one form, without any dialect.

A caller writes an Ask in its dialect; the simulated provider reads what arrives back into an Ask, so that a
test compares the two. A provider says a Plan in its dialect; the caller reads it back into an Answer.

Parts of turns are dictionaries with a "kind":
  text {text} · image {media, data or url} · document {media, data, title} · audio {format, data}
  thinking {text, signature} · call {id, name, args} · result {id, name, parts, error}
  raw {value}: the dialect's own answer, to be echoed as its clients echo it
"""

from dataclasses import dataclass, field

# The lab's own signatures: each provider knows its own and refuses any other.
SIGNATURE_FRONT = {"openai.responses": "c2lnLXJlc3BvbnNlcy", "anthropic.messages": "c2lnLW1lc3NhZ2Vz",
                   "gemini.generate": "c2lnLWdlbmVyYXRl", "bedrock.converse": "c2lnLWNvbnZlcnNl"}


def signature_of(dialect, number=0):
    """Valid base64, as some vendors' are; a pad shows whether it is passed on untouched."""
    return f"{SIGNATURE_FRONT[dialect]}LW5vLXR3by1hcmUtYWxpa2U{number:04d}+/".ljust(64, "A")[:62] + "=="


@dataclass
class Ask:
    system: str = ""
    turns: list = field(default_factory=list)  # (role, parts)
    tools: list = field(default_factory=list)  # {name, description, schema}; strict may be there
    choice: object = None  # "auto", "none", "any", or the name of a tool after "tool:"
    parallel: object = None
    schema: object = None
    json: bool = False
    max_tokens: object = None
    temperature: object = None
    top_p: object = None
    top_k: object = None
    seed: object = None
    presence: object = None
    frequency: object = None
    n: object = None
    stop: list = field(default_factory=list)
    logprobs: object = None  # how many
    logit_bias: object = None
    effort: object = None  # a word; providers that take budgets say ("budget", n)
    show_thinking: object = None
    verbosity: object = None
    end_user: object = None
    metadata: object = None
    tier: object = None
    cache_key: object = None
    cache_marks: int = 0
    store: object = None
    extra: dict = field(default_factory=dict)  # members of the dialect's own, as they stand
    stream: bool = False

    def user(self, *parts):
        self.turns.append(("user", [as_part(p) for p in parts]))
        return self

    def assistant(self, *parts):
        self.turns.append(("assistant", [as_part(p) for p in parts]))
        return self

    def parts(self, kind, role=None):
        """All parts of a kind, in order; those inside tool results come after them."""
        found = []
        for whose, parts in self.turns:
            if role in (None, whose):
                for part in parts:
                    if part["kind"] == kind:
                        found.append(part)
                    found += [p for p in part.get("parts", []) if p["kind"] == kind]
        return found

    def last_results(self):
        """The results in the last turn, if it has any."""
        return [p for p in self.turns[-1][1] if p["kind"] == "result"] if self.turns else []


def as_part(part):
    return {"kind": "text", "text": part} if isinstance(part, str) else part


@dataclass
class Plan:
    """What a provider is to say."""
    text: str = ""
    thinking: str = ""
    calls: list = field(default_factory=list)  # (name, arguments)
    finish: str = "stop"  # stop sequence length tools filter refusal
    signed: bool = False
    error: str = ""  # an error in place of the answer
    breaks: str = ""  # "error" or "cut": in the middle of the answer
    bytewise: bool = False  # streams are cut at every byte
    input: int = 57  # cache_read included
    output: int = 23  # reasoning included
    cache_read: int = 0
    reasoning: int = 0


@dataclass
class Answer:
    text: str = ""
    thinking: str = ""
    refusal: str = ""
    calls: list = field(default_factory=list)  # {id, name, args}
    finish: str = ""
    signatures: list = field(default_factory=list)
    usage: dict = field(default_factory=dict)  # input, output, cache_read, reasoning: what is told
    error: dict = None  # status, kind, message
    raw: object = None  # to be echoed
    clean: bool = True  # the stream ended as the dialect ends streams
    status: int = 200
    headers: object = None

    def said(self):
        """What must be the same, streamed or not."""
        return (self.text, self.thinking, self.refusal,
                [(c["name"], c["args"]) for c in self.calls], self.finish, self.usage)
