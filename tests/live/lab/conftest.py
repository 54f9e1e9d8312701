"""One server and one set of providers for all pairs, and the record that docs/dialects.md is made of."""

import json
import os
from pathlib import Path

import pytest

from accord import ROOT, Accord

from .callers import CALLER
from .probes import PROBES, TITLES, title_of
from .setting import config, model_of, place
from .upstreams import DIALECTS, PROVIDER, Upstreams

class Lab:
    def __init__(self, directory):
        self.upstreams = Upstreams()
        self.accord = Accord(directory, config(self.upstreams.url))
        self.place = place(self.accord)
        self.record = {}

    def note(self, pair, feature, state, names=()):
        """What became of a feature: yes, dropped, or failed; the worst of all its tests counts."""
        worth = ["yes", "dropped", "failed"]
        row = self.record.setdefault(" > ".join(pair), {})
        old = row.get(feature, {"state": "yes", "names": []})
        if worth.index(state) >= worth.index(old["state"]):
            row[feature] = {"state": state, "names": sorted({*old["names"], *names})}

    def stop(self):
        self.accord.stop()
        self.upstreams.stop()


class Pair:
    """A caller and an upstream, and Accord between them."""

    def __init__(self, lab, pair):
        self.lab, self.pair = lab, pair
        self.caller, self.provider = CALLER[pair[0]], PROVIDER[pair[1]]
        self.same = pair[0] == pair[1]
        self.answer, self.feature = None, None
        lab.upstreams.clear()

    def send(self, ask, stream=False, upstream=None, headers=(), model=None):
        """A call; what the same dialect passes on must arrive byte for byte."""
        model = model or model_of(upstream or self.pair[1])
        answer, body = self.caller.exchange(self.lab.place, ask, model, stream, headers)
        self.answer = answer
        if upstream in (None, self.pair[1]) and self.same and self.entries:
            there = self.provider.model.encode()
            wanted = body.replace(b'"model":"%s"' % model.encode(), b'"model":"%s"' % there, 1)
            assert self.last.request.body == wanted, "the body was changed on its way"
        return answer

    @property
    def entries(self):
        return self.lab.upstreams.journal

    @property
    def last(self):
        """The one call that arrived last."""
        assert self.entries, f"nothing arrived at the provider: {self.answer.error}"
        entry = self.entries[-1]
        assert entry.dialect == self.pair[1], f"it went to {entry.dialect}"
        return entry

    @staticmethod
    def dropped(answer):
        return [n.strip() for n in (answer.headers.get("accord-dropped") or "").split(",") if n.strip()]

    def about(self, feature):
        """What is tested: without a judgement it has failed."""
        self.feature = feature

    def judge(self, problems, names=(), dropped=False):
        """Notes the outcome, and fails with what is wrong."""
        state = "failed" if problems else "dropped" if dropped else "yes"
        self.lab.note(self.pair, self.feature, state, names)
        self.feature = None
        assert not problems, "\n".join(problems)


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    running = Lab(tmp_path_factory.mktemp("lab"))
    yield running
    where = Path(os.environ.get("ACCORD_LAB_RESULTS", ROOT / "build" / "lab.json"))
    where.parent.mkdir(parents=True, exist_ok=True)
    titles = {**TITLES, **{name: title_of(name) for name in PROBES}}
    can = {name: sorted(caller.spells) for name, caller in CALLER.items()}
    where.write_text(json.dumps({"dialects": DIALECTS, "features": titles, "can": can,
                                 "pairs": running.record}, indent=1) + "\n", encoding="utf-8")
    running.stop()


@pytest.fixture
def pair(request, lab):
    one = Pair(lab, request.param)
    yield one
    if one.feature:
        lab.note(one.pair, one.feature, "failed")
