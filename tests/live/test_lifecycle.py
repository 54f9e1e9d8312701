"""Start, reload and end while calls are running."""

import json
import signal
import threading
import time

import pytest

import answers
from accord import KEY, PROVIDER_SECRET, Accord, config_for
from hostile import Hostile
from wire import Closed, WireError, request, wait_for

CHAT = "/v1/chat/completions"
STREAM = {"model": "m", "messages": [], "stream": True}
BODY = b'{"model":"m","messages":[]}'
WHOLE_STREAM = b"".join([*answers.CHAT_EVENTS, answers.DONE])


def hold_in_the_middle(upstream):
    """Streams stop after their first event until upstream.release is set."""
    def answer(peer, request):
        if b'"stream"' not in request.body:
            return answers.usual(peer, request)
        events = answers.chat_events(request)
        peer.send(answers.STREAM_HEAD + answers.chunk(events[0]))
        upstream.release.wait(30)
        peer.send(b"".join(map(answers.chunk, events[1:])) + b"0\r\n\r\n")
        return None

    upstream.answer = answer


class Load:
    """Clients that call one after the other on kept-alive connections until told to stop."""

    def __init__(self, accord, clients=8):
        self.accord = accord
        self.stopping = threading.Event()
        self.done = 0
        self.failures = []
        self.threads = [threading.Thread(target=self._client, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _client(self):
        while not self.stopping.is_set():
            try:
                connection = self.accord.connect()
            except OSError:
                return  # nobody listens any more
            with connection:
                try:
                    self._calls(connection)
                except OSError:
                    return
                except (WireError, AssertionError, TimeoutError) as error:
                    self.failures.append(repr(error))
                    return

    def _calls(self, connection):
        while not self.stopping.is_set():
            connection.send(request("POST", CHAT, [("x-api-key", KEY)], BODY))
            try:
                response = connection.read_response()
            except Closed as closed:
                # A kept-alive connection may end between two calls, but never inside an answer.
                assert closed.received == b"", f"an answer was cut: {closed.received!r}"
                return
            assert (response.status, response.body) == (200, answers.CHAT), response
            self.done += 1
            if response.header("connection", "").lower() == "close":
                return

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive()
        return self.failures


@pytest.mark.race
def test_sigterm_under_load_drops_nothing(start, upstream):
    """Calls in flight are answered whole, streams run to their end, exit status 0."""
    hold_in_the_middle(upstream)
    accord = start(config_for(upstream.url))
    streams = [accord.open_stream(CHAT, STREAM) for _ in range(10)]
    for stream in streams:
        stream.read_head()
    load = Load(accord)
    wait_for(lambda: load.done > 200 or load.failures, what="the load to run")
    accord.signal(signal.SIGTERM)
    wait_for(lambda: all(not t.is_alive() for t in load.threads), what="the listener to close")
    assert load.stop() == []
    assert accord.process.poll() is None, "it ended before its streams did"
    upstream.release.set()
    for stream in streams:
        body, clean = stream.read_body_so_far()
        assert (body, clean) == (WHOLE_STREAM, True)
        stream.close()
    assert accord.process.wait(15) == 0


def test_requests_that_arrived_before_sigterm_are_answered(start, upstream):
    upstream.answer = lambda peer, request: (upstream.release.wait(15),
                                             peer.send(answers.whole(answers.CHAT)))[1]
    accord = start(config_for(upstream.url))
    with accord.connect() as connection:
        connection.send(request("POST", CHAT, [("x-api-key", KEY)], BODY))
        upstream.wait_requests(1)
        accord.signal(signal.SIGTERM)
        wait_for(lambda: refuses(accord), what="the listener to close")
        upstream.release.set()
        response = connection.read_response()
        assert (response.status, response.body) == (200, answers.CHAT)
        assert response.header("connection", "").lower() == "close"
        assert connection.closes()
    assert accord.process.wait(15) == 0


def refuses(accord):
    try:
        accord.connect().close()
        return False
    except OSError:
        return True


def test_idle_connections_do_not_delay_the_end(start, upstream):
    accord = start(config_for(upstream.url))
    with accord.connect() as used, accord.connect() as fresh:
        used.send(request("GET", "/healthz"))
        assert used.read_response().status == 200
        began = time.monotonic()
        accord.signal(signal.SIGTERM)
        assert accord.process.wait(10) == 0
        assert time.monotonic() - began < 3
        assert used.closes() and fresh.closes()


def test_drain_deadline_ends_what_does_not_end(start, upstream):
    hold_in_the_middle(upstream)
    accord = start(config_for(upstream.url, timeouts={"drain_ms": 300}))
    with accord.open_stream(CHAT, STREAM) as stream:
        stream.read_head()
        accord.signal(signal.SIGTERM)
        body, clean = stream.read_body_so_far()
        assert not clean, "a stream that was cut by the drain must not look whole"
        assert b'"error"' in body
    assert accord.process.wait(10) == 0


def test_second_signal_ends_at_once(start, upstream):
    hold_in_the_middle(upstream)
    accord = start(config_for(upstream.url))
    accord.may_fail = True
    with accord.open_stream(CHAT, STREAM) as stream:
        stream.read_head()
        accord.signal(signal.SIGTERM)
        wait_for(lambda: refuses(accord), what="the listener to close")
        accord.signal(signal.SIGTERM)
        accord.process.wait(2)


@pytest.mark.race
def test_reload_keeps_streams_and_changes_what_follows(start, upstream):
    hold_in_the_middle(upstream)
    second = Hostile()
    accord = start(config_for(upstream.url))
    streams = [accord.open_stream(CHAT, STREAM) for _ in range(8)]
    for stream in streams:
        stream.read_head()
    load = Load(accord, clients=4)
    new_key = "sk-accord-live-tests-second-key-0002"
    config = config_for(second.url)
    config["keys"].append({"id": "second", "secret": new_key, "models": ["*"]})
    for _ in range(5):
        accord.write_config(config_for(upstream.url))
        accord.signal(signal.SIGHUP)
        accord.write_config(config)
        accord.signal(signal.SIGHUP)

    def new_key_works():
        with accord.connect() as connection:
            connection.send(request("POST", CHAT, [("x-api-key", new_key)], BODY))
            return connection.read_response().status == 200

    # Signals that come close together are one reload; what counts is that the last file wins.
    wait_for(lambda: accord.post(CHAT, BODY).status == 200 and second.requests and new_key_works(),
             what="calls at the new upstream with the new key")
    assert load.stop() == []
    upstream.release.set()
    for stream in streams:
        body, clean = stream.read_body_so_far()
        assert (body, clean) == (WHOLE_STREAM, True)
        stream.close()
    second.stop()


def test_revoked_key_is_dead_after_the_reload(start, upstream):
    accord = start(config_for(upstream.url))
    config = config_for(upstream.url)
    config["keys"][0]["secret"] = "sk-accord-live-tests-replacement-03"
    assert accord.post(CHAT, BODY).status == 200
    accord.write_config(config)
    accord.signal(signal.SIGHUP)
    wait_for(lambda: accord.post(CHAT, BODY).status == 401, what="the old key to die")


def test_bad_file_keeps_the_last_good_one_and_says_why(start, upstream):
    accord = start(config_for(upstream.url))
    text = accord.config_path.read_text(encoding="utf-8")
    accord.write_config(text=text.replace('"dialect": "openai"', '"dialect": "openia"'))
    accord.signal(signal.SIGHUP)
    wait_for(lambda: "openia" in accord.stderr(), what="the reason on standard error")
    line = next(line for line in accord.stderr().splitlines() if "openia" in line)
    assert "accord.yaml:" in line
    assert PROVIDER_SECRET not in accord.stderr()
    assert accord.post(CHAT, BODY).status == 200
    assert accord.metric("accord_config_last_reload_success") == 0
    accord.write_config(text=text)
    accord.signal(signal.SIGHUP)
    wait_for(lambda: accord.metric("accord_config_last_reload_success") == 1,
             what="the good file to be taken")


def test_a_reload_says_what_it_did_not_take(start, upstream):
    config = config_for(upstream.url)
    accord = start(config)
    accord.write_config(config | {"database": {"connections": 7}, "ledger": {"spool_bytes": 0}})
    accord.signal(signal.SIGHUP)
    for field in ["database", "ledger.spool_bytes"]:
        wait_for(lambda: f"{field} has changed; that takes effect at the next start" in accord.stderr(),  # noqa: B023
                 what=f"the word on {field}")
    assert "shared has changed" not in accord.stderr()


def test_start_needs_no_file_and_prints_what_scripts_need(start):
    accord = start(None)
    assert accord.address.startswith("http://127.0.0.1:")
    assert accord.key.startswith("sk-accord-")
    assert accord.started["pid"] == accord.process.pid
    response = accord.post(CHAT, {"model": "sim/echo",
                                  "messages": [{"role": "user", "content": "hi"}]})
    assert response.status == 200


def test_first_key_comes_from_the_environment(start):
    accord = start(None, env={"ACCORD_FIRST_KEY": KEY})
    assert accord.started["key"] is None, "whoever set it knows it; it belongs in no journal"
    assert accord.get("/v1/models").status == 200


def test_every_key_that_is_made_is_shown_once(start, upstream):
    config = config_for(upstream.url)
    accord = start(config | {"keys": [{"id": "a"}, {"id": "b"}]})
    keys = accord.started["keys"]
    assert set(keys) == {"a", "b"} and accord.started["key"] == keys["a"]
    again = start(config, arguments=["--data", accord.directory / "other"])
    for name in ["c", "d"]:
        config["keys"].append({"id": name})
        again.write_config(config)
        again.signal(signal.SIGHUP)
        made = json.loads(again._first_line())
        assert made["id"] == name
        wait_for(lambda: again.call("GET", "/v1/models", key=False, headers=[("x-api-key", made["secret"])]).status == 200,  # noqa: B023, E501
                 what="the new key to work")


def test_first_key_survives_a_restart_and_is_stored_as_a_hash(tmp_path):
    first = Accord(tmp_path)
    key = first.key
    first.stop()
    stored = b"".join(p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file())
    assert key.encode() not in stored
    second = Accord(tmp_path)
    try:
        second.key = key
        assert second.get("/v1/models").status == 200
    finally:
        second.stop()


def test_an_ollama_that_answers_is_there_unless_the_environment_is_not_wanted(start, upstream):
    tags = json.dumps({"models": [{"name": "llama3:latest"}]}).encode()
    upstream.answer = lambda peer, request: peer.send(answers.whole(tags))
    env = {"OLLAMA_HOST": upstream.url.removeprefix("http://")}
    for wanted in [True, False]:
        accord = start({"environment_providers": wanted}, env=env)
        ids = {m["id"] for m in accord.get("/v1/models").json()["data"]}
        assert ("ollama/llama3:latest" in ids) == wanted, ids


def test_providers_appear_from_the_environment(start):
    accord = start(None, env={"OPENAI_API_KEY": "sk-o-000000000000", "GEMINI_API_KEY": "g-0000000",
                              "ANTHROPIC_API_KEY": "sk-a-000000000000"})
    ids = {e["id"] for e in accord.get("/v1/models").json()["data"]}
    assert "sim/echo" in ids
    assert json.dumps(sorted(ids)).count("sk-") == 0


def test_address_in_use_is_said_and_ends(start, upstream):
    with pytest.raises(AssertionError, match=r"status [1-9].*(in use|EADDRINUSE)"):
        start(config_for(upstream.url), arguments=["--listen", f"127.0.0.1:{upstream.port}"])


def test_unix_socket_is_served(start, upstream, tmp_path):
    import socket
    path = tmp_path / "accord.sock"
    accord = start(config_for(upstream.url), arguments=["--listen", f"unix:{path}"])
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(10)
    sock.connect(str(path))
    sock.sendall(request("POST", CHAT, [("x-api-key", KEY), ("Connection", "close")], BODY))
    received = b""
    while True:
        more = sock.recv(65536)
        if not more:
            break
        received += more
    sock.close()
    assert received.startswith(b"HTTP/1.1 200 ") and received.endswith(answers.CHAT)
    assert accord.process.poll() is None


def test_a_unix_socket_has_the_rights_that_are_asked_for(start, upstream, tmp_path):
    path = tmp_path / "accord.sock"
    start(config_for(upstream.url), arguments=["--listen", f"unix:{path}?mode=660"])
    assert path.stat().st_mode & 0o777 == 0o660


def test_a_reload_while_draining_is_not_taken(start, upstream):
    upstream.answer = lambda peer, asked: upstream.release.wait(30) and answers.usual(peer, asked)
    server = start(config_for(upstream.url))  # two workers: the idle one ends long before the other
    waiting = server.open_stream("/v1/chat/completions", {"model": "m", "messages": []})
    wait_for(lambda: upstream.requests, what="a call under way")
    server.signal(signal.SIGTERM)
    wait_for(lambda: "draining" in server.stderr(), what="the drain")
    for _ in range(20):
        server.signal(signal.SIGHUP)
        time.sleep(0.05)
    wait_for(lambda: "no configuration is taken" in server.stderr(), what="the refusal of a reload")
    upstream.release.set()
    assert waiting.read_response("POST").status == 200
    waiting.close()
