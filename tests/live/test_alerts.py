"""Alerts: what is watched is told once, to the log and to signed webhooks, and once more when it is well again."""

import base64
import hashlib
import hmac
import json
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import answers
from accord import KEY, binary, clean_environment, config_for
from platform_api import ADMIN_TOKEN, Api, is_problem
from wire import wait_for

SIGNING = b"thirty-two bytes for signing...."
SECRET = "whsec_" + base64.b64encode(SIGNING).decode()
CALL = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


class Receiver:
    """A webhook's server: keeps what is posted; answers with what `script` says, then 204."""

    def __init__(self):
        receiver = self
        self.messages, self.script, self.hold = [], [], threading.Event()
        self.hold.set()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.messages.append((self.path, dict(self.headers.items()), body))
                receiver.hold.wait(30)
                status, fields = receiver.script.pop(0) if receiver.script else (204, {})
                try:
                    self.send_response(status)
                    for name, value in fields.items():
                        self.send_header(name, value)
                    self.send_header("content-length", "0")
                    self.end_headers()
                except OSError:
                    pass  # it has waited long enough

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/told?by=accord"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()

    def types(self):
        return [json.loads(body)["type"] for _, _, body in self.messages]


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.stop()


def alerting(upstream_url, receiver, *rules, **more):
    webhook = {"id": "ops", "url": receiver.url, "secret": SECRET, "allow_private_address": True}
    return {**config_for(upstream_url), "keys": [{"id": "dev", "secret": KEY}],
            "alerts": {"webhooks": [{**webhook, **more}], "rules": list(rules)}}


def serve(start, config):
    return start(config, env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN})


def alert(server, name):
    response = Api(server.address).get("/alerts")
    assert response.status_code == 200, response.text
    return next((item for item in response.json()["items"] if item["id"] == name), {"state": "unknown"})


def wait_state(server, name, state):
    wait_for(lambda: alert(server, name)["state"] == state, timeout=40, what=f"{name} is {state}")


def call(server, times=1):
    return [server.post("/v1/chat/completions", CALL).status for _ in range(times)]


def failing(peer, request):
    peer.send(answers.whole(b'{"error":{"message":"no"}}', status=500))


def log_lines(server, message):
    lines = (json.loads(line) for line in server.stderr().splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("msg") == message]


def verify(message):
    """As a receiver of Standard Webhooks does it."""
    _, fields, body = message
    signed = f"{fields['webhook-id']}.{fields['webhook-timestamp']}.".encode() + body
    mac = base64.b64encode(hmac.new(SIGNING, signed, hashlib.sha256).digest()).decode()
    assert fields["webhook-signature"] == f"v1,{mac}"
    assert abs(int(fields["webhook-timestamp"]) - time.time()) < 60
    assert fields["content-type"] == "application/json"
    return json.loads(body)


def test_an_error_rate_is_told_once_and_its_end_once(start, upstream, receiver, tmp_path):
    rule = {"id": "errors", "when": "error_rate", "above": 50, "clear": 20, "for_s": 0,
            "window_s": 86400, "min_calls": 5, "model": "m"}
    server = serve(start, alerting(upstream.url, receiver, rule))
    assert alert(server, "errors")["state"] == "ok"
    assert alert(server, "errors")["value"] is None  # nothing is said of too few calls
    upstream.answer = failing
    assert set(call(server, 6)) <= {500, 502, 503}
    wait_state(server, "errors", "firing")
    wait_for(lambda: receiver.messages, what="a message")
    told = verify(receiver.messages[0])
    assert receiver.messages[0][0] == "/told?by=accord"
    assert told["type"] == "alert.firing" and told["data"]["alert"] == "errors"
    assert told["data"]["when"] == "error_rate" and told["data"]["value"] > 50
    assert told["data"]["subject"] == "m" and told["data"]["unit"] == "percent"
    assert log_lines(server, "alert firing")[0]["alert"] == "errors"
    shown = subprocess.run([str(binary()), "alerts"], capture_output=True, text=True, check=False,
                           timeout=30, env=clean_environment(tmp_path, {
                               "ACCORD_ADDRESS": server.address, "ACCORD_TOKEN": ADMIN_TOKEN}))
    assert shown.returncode == 0 and shown.stdout.splitlines()[1].startswith("errors\tfiring\terror_rate\tm\t")
    # Between the two bounds nothing changes: that is no end, and no second beginning.
    upstream.answer = answers.usual
    wait_for(lambda: 200 in call(server), timeout=60, what="a call that goes well")
    call(server, 9)
    wait_for(lambda: alert(server, "errors")["value"] < 50, timeout=20)
    assert alert(server, "errors")["state"] == "firing"
    call(server, 40)
    wait_state(server, "errors", "ok")
    wait_for(lambda: len(receiver.messages) == 2, what="the end")
    assert receiver.types() == ["alert.firing", "alert.resolved"]
    assert verify(receiver.messages[1])["data"]["since"] == told["data"]["since"]
    assert len(log_lines(server, "alert firing")) == len(log_lines(server, "alert resolved")) == 1


def test_latency_is_watched(start, upstream, receiver):
    rules = [{"id": name, "when": name, "above": 100, "for_s": 0, "min_calls": 3}
             for name in ("latency_mean", "latency_p95")]
    rules.append({**rules[1], "id": "patient", "above": 60000})
    server = serve(start, alerting(upstream.url, receiver, *rules))

    def slow(peer, request):
        time.sleep(0.4)
        answers.usual(peer, request)

    upstream.answer = slow
    call(server, 4)
    wait_state(server, "latency_mean", "firing")
    wait_state(server, "latency_p95", "firing")
    assert alert(server, "latency_mean")["value"] >= 400 and alert(server, "patient")["state"] == "ok"


def test_a_budget_is_told_before_it_is_spent(start, upstream, receiver):
    config = alerting(upstream.url, receiver,
                      {"id": "money", "when": "budget_used", "above": 50, "for_s": 0, "policy": "little"})
    config["policies"] = [
        {"id": "little", "applies_to": {"key": "dev"}, "budgets": [{"requests": 10, "per": "month"}]},
        {"id": "other", "applies_to": {"org": True}, "budgets": [{"requests": 1000, "per": "month"}]}]
    server = serve(start, config)
    call(server, 5)
    wait_for(lambda: alert(server, "money")["value"] == 50, timeout=20)
    assert alert(server, "money")["state"] == "ok"  # at the bound is not above it
    call(server, 1)
    wait_state(server, "money", "firing")
    assert alert(server, "money")["subject"] == "little" and alert(server, "money")["value"] == 60


def test_a_provider_that_is_down_and_comes_back(start, upstream, receiver):
    server = serve(start, alerting(upstream.url, receiver, {
        "id": "down", "when": "provider_down", "for_s": 3, "provider": "up"}))
    upstream.answer = failing

    def state():
        call(server)
        return alert(server, "down")["state"]

    wait_for(lambda: state() == "pending", timeout=40, what="a breaker that is open")
    began = time.monotonic()
    wait_for(lambda: state() == "firing", timeout=60, what="a breaker that stays open")
    assert time.monotonic() - began > 1  # not at once
    assert alert(server, "down")["subject"].startswith("up")
    upstream.answer = answers.usual
    wait_for(lambda: state() == "ok", timeout=90, what="a provider that is back")
    wait_for(lambda: receiver.types() == ["alert.firing", "alert.resolved"])


def fired(server, receiver, upstream):
    upstream.answer = failing
    call(server, 6)
    wait_state(server, "errors", "firing")


ERRORS = {"id": "errors", "when": "error_rate", "above": 50, "for_s": 0, "min_calls": 5}


def test_a_message_is_tried_again_under_the_same_id(start, upstream, receiver):
    receiver.script = [(503, {}), (500, {})]
    server = serve(start, alerting(upstream.url, receiver, ERRORS))
    fired(server, receiver, upstream)
    wait_for(lambda: len(receiver.messages) == 3, timeout=20, what="three tries")
    assert len({fields["webhook-id"] for _, fields, _ in receiver.messages}) == 1
    for message in receiver.messages:
        verify(message)
    told = Api(server.address).get("/alerts").json()
    wait_for(lambda: Api(server.address).get("/alerts").json()["webhooks"]["delivered"] == 1)
    assert told["webhooks"]["failed"] == 0


def test_a_redirect_is_not_followed(start, upstream, receiver):
    other = Receiver()
    receiver.script = [(307, {"location": other.url})]
    server = serve(start, alerting(upstream.url, receiver, ERRORS))
    fired(server, receiver, upstream)
    wait_for(lambda: Api(server.address).get("/alerts").json()["webhooks"]["failed"] == 1)
    assert not other.messages and len(receiver.messages) == 1
    assert "redirects are not followed" in server.stderr() and SECRET not in server.stderr()
    other.stop()


def test_a_private_address_is_asked_only_when_that_is_allowed(start, upstream, receiver):
    server = serve(start, alerting(upstream.url, receiver, ERRORS, allow_private_address=False))
    fired(server, receiver, upstream)
    wait_for(lambda: Api(server.address).get("/alerts").json()["webhooks"]["waiting"] == 1)
    assert not receiver.messages


def test_a_webhook_that_hangs_holds_no_call_up(start, upstream, receiver):
    receiver.hold.clear()
    server = serve(start, alerting(upstream.url, receiver, ERRORS))
    fired(server, receiver, upstream)
    wait_for(lambda: receiver.messages, what="a message that hangs")
    upstream.answer = answers.usual
    wait_for(lambda: 200 in call(server), timeout=60)
    began = time.monotonic()
    assert set(call(server, 20)) == {200}
    assert time.monotonic() - began < 10  # the webhook alone takes 15
    assert Api(server.address).get("/alerts").json()["webhooks"]["waiting"] == 1


def test_a_webhook_that_hangs_takes_no_room_from_another(start, upstream, receiver):
    hanging = Receiver()
    hanging.hold.clear()
    rules = [{"id": f"b{n}", "when": "budget_used", "above": 1, "for_s": 0} for n in range(100)]  # as many as there can be
    config = alerting(upstream.url, receiver, *rules)
    config["alerts"]["webhooks"].append({"id": "hangs", "url": hanging.url, "secret": SECRET, "allow_private_address": True})
    config["policies"] = [{"id": "p", "applies_to": {"org": True}, "budgets": [{"requests": 10, "per": "month"}]}]
    try:
        server = serve(start, config)
        assert call(server) == [200]
        wait_for(lambda: len(receiver.messages) == 100, timeout=60, what="all messages to the one that answers")
        told = Api(server.address).get("/alerts").json()["webhooks"]
        assert told["dropped"] == 0 and told["waiting"] >= 100
    finally:
        hanging.stop()


def test_a_reload_tells_nothing_again(start, upstream, receiver):
    config = alerting(upstream.url, receiver, ERRORS)
    server = serve(start, config)
    fired(server, receiver, upstream)
    wait_for(lambda: receiver.messages)
    since = alert(server, "errors")["since"]
    config["alerts"]["rules"].append({**ERRORS, "id": "second", "above": 90})
    server.write_config(config)
    server.signal(signal.SIGHUP)
    wait_state(server, "second", "firing")  # the first one was looked at as well, more than once
    assert alert(server, "errors")["since"] == since
    wait_for(lambda: len(receiver.messages) == 2)
    assert [verify(m)["data"]["alert"] for m in receiver.messages] == ["errors", "second"]
    # Whoever was told of it hears that nobody watches it any more.
    config["alerts"]["rules"] = config["alerts"]["rules"][:1]
    server.write_config(config)
    server.signal(signal.SIGHUP)
    wait_for(lambda: receiver.types()[2:] == ["alert.resolved"], timeout=20)
    assert verify(receiver.messages[2])["data"]["alert"] == "second"


def test_a_rule_that_watches_nothing_is_told_once(start, upstream, receiver):
    config = alerting(upstream.url, receiver,
                      {"id": "down", "when": "provider_down", "provider": "later"},
                      {"id": "money", "when": "budget_used", "above": 80, "policy": "rich"},
                      {"id": "up", "when": "provider_down", "provider": "up"})
    config["policies"] = [{"id": "rich", "applies_to": {"org": True},
                           "limits": [{"what": "requests", "at_most": 9000, "per": "hour"}]}]
    server = serve(start, config)
    said = {'the alert "down" watches nothing: there is no provider "later"',
            'the alert "money" watches nothing: there is no policy "rich" with a budget'}
    told = lambda: [line["msg"] for line in map(json.loads, server.stderr().splitlines())  # noqa: E731
                    if "watches nothing" in line["msg"]]
    wait_for(lambda: set(told()) == said)
    api = Api(server.address)
    api.create("providers", id="other", dialect="openai", base_url="https://example.com/v1")
    api.create("providers", id="later", dialect="openai", base_url="https://example.com/v1")
    config["alerts"]["rules"].append({"id": "last", "when": "provider_down", "provider": "nobody"})
    server.write_config(config)
    server.signal(signal.SIGHUP)
    wait_for(lambda: any('"last"' in line for line in told()))
    assert len(told()) == 3  # neither again nor for what has come


def test_a_provider_of_the_platform_is_there_from_the_start(start, upstream, receiver):
    config = alerting(upstream.url, receiver, {"id": "down", "when": "provider_down", "provider": "later"})
    first = serve(start, config)
    Api(first.address).create("providers", id="later", dialect="openai", base_url="https://example.com/v1")
    first.stop()
    again = start(config, env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN},
                  arguments=["--data", first.directory / "data"])
    assert Api(again.address).get("/providers/later").status_code == 200
    assert alert(again, "down")["state"] == "ok"
    assert "watches nothing" not in again.stderr()


def data_of(server):
    return server.directory / "data"


def restart(start, server, config):
    """Another one on the same data directory."""
    server.stop()
    return start(config, env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN},
                 arguments=["--data", data_of(server)])


def test_a_restart_tells_nothing_again_and_what_ends_after_it(start, upstream, receiver):
    config = alerting(upstream.url, receiver, {**ERRORS, "window_s": 60}, {**ERRORS, "id": "gone"})
    server = serve(start, config)
    fired(server, receiver, upstream)
    wait_state(server, "gone", "firing")
    since = alert(server, "errors")["since"]
    metrics = server.metrics()
    assert metrics['accord_alert_firing{rule="errors"}'] == 1
    wait_for(lambda: server.metrics()['accord_alert_messages_total{result="delivered"}'] == 2)
    kept = data_of(server) / "alerts.json"
    wait_for(lambda: [f["told"] for f in json.loads(kept.read_text())["firing"]] == [True, True])
    assert kept.stat().st_mode & 0o777 == 0o600
    # The next one has a rule less: nobody watches that any more.
    config["alerts"]["rules"].pop()
    server = restart(start, server, config)
    now = alert(server, "errors")
    assert (now["state"], now["since"]) == ("firing", since)
    wait_for(lambda: receiver.types()[2:] == ["alert.resolved"])
    assert verify(receiver.messages[2])["data"]["alert"] == "gone"
    upstream.answer = lambda peer, request: peer.send(answers.whole(answers.CHAT))
    call(server, 20)  # of 26 calls 6 have failed
    wait_state(server, "errors", "ok")
    wait_for(lambda: receiver.types()[3:] == ["alert.resolved"])
    ended = verify(receiver.messages[3])["data"]
    assert (ended["alert"], ended["since"]) == ("errors", since)
    assert server.metrics()['accord_alert_firing{rule="errors"}'] == 0
    wait_for(lambda: json.loads(kept.read_text()) == {"firing": []})


def test_what_nobody_was_told_when_the_server_stopped_the_next_one_tells(start, upstream, receiver):
    config = alerting(upstream.url, receiver, ERRORS)
    receiver.script = [(503, {})] * 50
    server = serve(start, config)
    fired(server, receiver, upstream)
    wait_for(lambda: receiver.messages)
    since = alert(server, "errors")["since"]
    server.stop()
    receiver.script = []
    receiver.messages.clear()
    restart(start, server, config)
    wait_for(lambda: receiver.types() == ["alert.firing"])
    assert verify(receiver.messages[0])["data"]["since"] == since


@pytest.mark.parametrize("text", ["", "{", '{"firing":[{"id":"errors"}]}', "x" * 2000000])
def test_a_broken_file_of_alerts_is_told_and_replaced(start, upstream, receiver, text):
    config = alerting(upstream.url, receiver, ERRORS)
    first = serve(start, config)
    kept = data_of(first) / "alerts.json"
    first.stop()
    kept.write_text(text)
    server = restart(start, first, config)
    assert "alerts.json cannot be read" in server.stderr()
    wait_for(lambda: json.loads(kept.read_text()) == {"firing": []})
    fired(server, receiver, upstream)


def test_a_file_of_alerts_that_cannot_be_written_is_told_once(start, upstream, receiver):
    config = alerting(upstream.url, receiver, ERRORS)
    first = serve(start, config)
    first.stop()
    (data_of(first) / "alerts.json").mkdir()
    server = restart(start, first, config)
    fired(server, receiver, upstream)
    wait_for(lambda: server.metric("accord_alert_messages_total") == 1)
    wait_for(lambda: "alerts.json cannot be written" in server.stderr())
    upstream.answer = lambda peer, request: peer.send(answers.whole(answers.CHAT))
    call(server, 20)
    wait_state(server, "errors", "ok")
    assert server.stderr().count("alerts.json cannot be written") == 1


def test_who_reads_for_a_team_sees_no_alerts(start, upstream, receiver):
    server = serve(start, alerting(upstream.url, receiver, ERRORS))
    api = Api(server.address)
    api.team(id="ours")
    ana = Api(server.address, api.create("tokens", name="t", role="viewer", team="ours")["secret"])
    is_problem(ana.get("/alerts"), 403)
    is_problem(Api(server.address, None).get("/alerts"), 401)


@pytest.mark.parametrize("change, said", [
    ({"when": "weather"}, "error_rate"),
    ({"above": None}, "above is missing"),
    ({"above": 100}, "allowed: 1 to 99"),
    ({"clear": 60}, "must not be more than above, which is 50"),
    ({"webhooks": ["nobody"]}, 'alerts.rules[0].webhooks: "nobody" is no webhook'),
    ({"policy": "p"}, "policy is for budget_used only"),
    ({"when": "provider_down"}, "above is not for provider_down"),
    ({"window_s": 5}, "window_s"),
])
def test_what_is_wrong_is_told_with_its_remedy(tmp_path, receiver, change, said):
    rule = {key: value for key, value in {**ERRORS, **change}.items() if value is not None}
    checked = check(tmp_path, alerting("http://127.0.0.1:9", receiver, rule))
    assert checked.returncode != 0 and said in checked.stderr, checked.stderr


def test_where_an_alert_ends_is_printed_when_it_is_given(tmp_path, receiver):
    assert "clear" not in check(tmp_path, alerting("http://127.0.0.1:9", receiver, ERRORS)).stdout
    assert "clear: 7" in check(tmp_path, alerting("http://127.0.0.1:9", receiver, {**ERRORS, "clear": 7})).stdout


@pytest.mark.parametrize("change, said", [
    ({"url": "ftp://x"}, "a URL of http or https"), ({"secret": "whsec_%%%%%%%%%%%%%%%%"}, "base64"),
    ({"secret": "short"}, "16 to 512")])
def test_a_wrong_webhook_is_told(tmp_path, receiver, change, said):
    checked = check(tmp_path, alerting("http://127.0.0.1:9", receiver, ERRORS, **change))
    assert checked.returncode != 0 and said in checked.stderr, checked.stderr


def test_rules_on_calls_need_the_ledger(tmp_path, receiver):
    config = {**alerting("http://127.0.0.1:9", receiver, ERRORS), "ledger": {"keep_days": 0}}
    checked = check(tmp_path, config)
    assert checked.returncode != 0 and "ledger.keep_days is 0" in checked.stderr


def check(directory, config):
    (directory / "accord.yaml").write_text(json.dumps(config), encoding="utf-8")
    return subprocess.run([str(binary()), "check", "-c", "accord.yaml"], cwd=directory, check=False,
                          env=clean_environment(directory), capture_output=True, text=True, timeout=30)
