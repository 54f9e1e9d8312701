"""Masking between all pairs of dialects: what arrives at the provider, and what comes back to the caller."""

import json

import pytest

from accord import Accord

from .callers import CALLER, Place
from .expect import short
from .pairs import PAIRS, of_pairs
from .scenarios import TOOLS, simple
from .setting import config, model_of
from .upstreams import PROVIDER, Upstreams

MAIL, PHONE = "Joe.\u00c9mile@example.com", "+49 30 1234567"
CANARIES = ["example.com", "1234567", "4111 1111"]
KEYS = {"tokens": "sk-accord-masking-canary-tokens-1", "answers": "sk-accord-masking-canary-answers-1"}
POLICIES = [
    {"id": "tokens", "applies_to": {"key": "tokens"},
     "masking": {"detectors": ["email", "phone"], "action": "tokenise", "actions": {"card": "block"}}},
    {"id": "answers", "applies_to": {"key": "answers"},
     "masking": {"detectors": ["email", "card"], "actions": {"iban": "block"}, "answers": True}},
]
HAVE_THOUGHTS = [p for p in PAIRS if {*p} <= {"anthropic.messages", "bedrock.converse", "gemini.generate",
                                              "openai.responses"}]


class Masked:
    """A caller, an upstream, and an Accord with policies."""

    def __init__(self, lab, pair):
        self.lab, self.pair = lab, pair
        self.caller, self.provider = CALLER[pair[0]], PROVIDER[pair[1]]
        lab.upstreams.clear()

    def send(self, key, ask, stream):
        place = Place(self.lab.accord.port, KEYS[key])
        return self.caller.exchange(place, ask, model_of(self.pair[1]), stream)[0]

    @property
    def last(self):
        assert self.lab.upstreams.journal, "nothing arrived at the provider"
        entry = self.lab.upstreams.journal[-1]
        assert not entry.fault, entry.fault
        return entry


class Lab:
    def __init__(self, directory):
        self.upstreams = Upstreams()
        self.accord = Accord(directory, config(self.upstreams.url) | {
            "policies": POLICIES,
            "keys": [{"id": name, "secret": secret, "models": ["*"]} for name, secret in KEYS.items()]})

    def stop(self):
        self.accord.stop()
        self.upstreams.stop()


@pytest.fixture(scope="module")
def masked_lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("masked"))
    yield lab
    lab.stop()
    told = lab.accord.stderr() + json.dumps(lab.accord.access_log())
    assert not [c for c in CANARIES if c in told]


@pytest.fixture
def pair(request, masked_lab):
    return Masked(masked_lab, request.param)


def asking(name, **more):
    return simple(name, f"I am {MAIL}, call {PHONE}.", system=f"Be kind to {MAIL}.", **more)


def arrived_masked(entry):
    said = json.dumps(json.loads(entry.request.body), ensure_ascii=False)
    assert "[EMAIL_1]" in said and "[PHONE_1]" in said and "[EMAIL_2]" not in said
    assert not [c for c in CANARIES if c in said]


@of_pairs("stream", [(False,), (True,)])
def test_tokens_take_the_place_of_values_and_values_come_back(pair, stream):
    answer = pair.send("tokens", asking("tokens"), stream)
    assert not answer.error, answer.error
    arrived_masked(pair.last)
    assert answer.text == (f"\u00e9 Write to {MAIL}, {MAIL} or {MAIL}; call {PHONE}, not [EMAIL_9] [EMA."), \
        short(answer.text)
    assert answer.headers.get("accord-masked") == "email=2, phone=1"


@of_pairs("stream", [(False,), (True,)])
def test_values_come_back_into_the_arguments_of_calls(pair, stream):
    answer = pair.send("tokens", asking("token_calls", tools=TOOLS), stream)
    assert not answer.error, answer.error
    arrived_masked(pair.last)
    assert [c["args"] for c in answer.calls] == [{"city": f'{MAIL} "{PHONE}"', "days": 2}]
    assert answer.text == MAIL


@of_pairs("stream", [(False,), (True,)], pairs=HAVE_THOUGHTS)
def test_values_come_back_into_thoughts(pair, stream):
    ask = asking("token_thoughts", effort="medium", show_thinking=True, max_tokens=4096)
    answer = pair.send("tokens", ask, stream)
    assert not answer.error, answer.error
    arrived_masked(pair.last)
    assert (answer.thinking, answer.text) == (f"Is it {MAIL}?", f"{MAIL}!")


@of_pairs("stream", [(False,), (True,)])
def test_what_the_model_writes_is_masked_where_a_policy_says_so(pair, stream):
    answer = pair.send("answers", simple("writes"), stream)
    assert not answer.error, answer.error
    assert answer.text == "Ask [EMAIL] or [CARD] today."
    answer = pair.send("answers", simple("write_calls", tools=TOOLS), stream)
    assert [c["args"] for c in answer.calls] == [{"city": "[EMAIL]", "days": 2}]


@of_pairs("stream", [(False,), (True,)])
def test_an_answer_that_is_blocked_does_not_arrive(pair, stream):
    answer = pair.send("answers", simple("iban"), stream)
    assert answer.error or not answer.clean, answer
    assert "3704" not in json.dumps(answer.said()) + json.dumps(answer.error)
    assert "policy" in json.dumps(answer.error)


@of_pairs()
def test_a_request_that_is_blocked_goes_nowhere(pair):
    answer = pair.send("tokens", simple("text", "My card: 4111 1111 1111 1111."), False)
    assert answer.status in (400, 422), answer
    assert "card" in answer.error["message"] and "4111" not in json.dumps(answer.error)
    assert not pair.lab.upstreams.journal


@of_pairs("stream", [(False,), (True,)], pairs=[p for p in PAIRS if p[0] == p[1]])
def test_a_call_without_finds_passes_byte_for_byte(pair, stream):
    place = Place(pair.lab.accord.port, KEYS["tokens"])
    answer, body = pair.caller.exchange(place, simple("unicode"), model_of(pair.pair[1]), stream)
    assert not answer.error and answer.headers.get("accord-masked") is None
    there = pair.provider.model.encode()
    assert pair.last.request.body == body.replace(
        b'"model":"%s"' % model_of(pair.pair[1]).encode(), b'"model":"%s"' % there, 1)
