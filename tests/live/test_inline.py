"""Images and documents that a request names by URL, for upstreams that take data only."""

import base64
import json
import os
import socket
import threading

import pytest

import answers
from accord import KEY, config_for
from hostile import Hostile
from test_tls import pki, server_context  # noqa: F401
from wire import wait_for

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 5
JPEG = b"\xff\xd8\xff\xe0" + b"\x01\x02\x03" * 200
PDF = b"%PDF-1.7\n" + b"stream " * 40
MIB = 1024 * 1024


class Web:
    """A web server; `pages` maps a path to the bytes of an answer or to a function like Hostile.answer."""

    def __init__(self, tls=None):
        self.pages = {}
        self.server = Hostile(tls=tls)
        self.server.answer = self.answer
        self.url = self.server.url

    def answer(self, peer, request):
        page = self.pages.get(request.target, answers.whole(b"none", status=404))
        if callable(page):
            return page(peer, request)
        peer.send(page)
        return None

    def add(self, path, body, content_type="image/png"):
        self.pages[path] = answers.whole(body, content_type=content_type)
        return self.url + path

    def asked(self, path=None):
        return [r for r in self.server.requests if path is None or r.target == path]


@pytest.fixture
def web():
    server = Web()
    yield server
    server.server.stop()
    assert not server.server.errors, server.server.errors


@pytest.fixture
def gateway(start, upstream):
    return start(config_for(upstream.url, fetch={"allow_private_address": True}))


def chat(*urls, model="gemini-m", **more):
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"model": model, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "what is it?"}, *parts]}], **more}


def message(*parts, model="gemini-m"):
    return {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": list(parts)}]}


def document(url):
    return {"type": "document", "source": {"type": "url", "url": url}}


def inlined(upstream):
    """(type, bytes) of all that the upstream was given."""
    found = []

    def look(value):
        if isinstance(value, dict):
            if "inlineData" in value:
                data = value["inlineData"]
                found.append((data["mimeType"], base64.b64decode(data["data"], validate=True)))
            for inner in value.values():
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)
    look(json.loads(upstream.last.body))
    return found


def refused(accord, body, *words, path=CHAT):
    """It is a 400 in OpenAI's words, and the reason has these words in it."""
    response = accord.post(path, body)
    assert response.status == 400, response
    error = response.json()["error"]
    if path == CHAT:
        assert error["code"] == "image_not_fetched"
    for word in words:
        assert word in error["message"], error["message"]
    return error["message"]


# ---- what comes arrives ----

def test_an_image_arrives_as_its_bytes(gateway, upstream, web):
    url = web.add("/a.png?x=1", PNG)
    response = gateway.post(CHAT, chat(url))
    assert response.status == 200, response
    assert inlined(upstream) == [("image/png", PNG)]
    asked, = web.asked()
    assert asked.method == "GET" and asked.header("host") == web.url[7:]
    assert asked.header("accept-encoding") == "identity"
    assert KEY.encode() not in web.server.seen and b"authorization" not in web.server.seen.lower()
    assert gateway.metric("accord_fetched_total") == 1
    assert gateway.metric("accord_fetch_failures_total") == 0


def test_nothing_is_kept_open(gateway, upstream, web):
    gateway.post(CHAT, chat(web.add("/a.png", PNG)))
    wait_for(lambda: all(p.closed_at for p in web.server.peers), what="the connection to close")
    wait_for(lambda: gateway.metrics()['accord_upstream_connections{state="busy"}'] == 0,
             what="nothing to be under way")


@pytest.mark.parametrize("framing", ["length", "chunked", "close", "bytes"])
def test_any_framing_and_any_length(gateway, upstream, web, framing):
    for extra in range(4):
        body = PNG + b"!" * extra

        def page(peer, request, body=body):
            if framing == "chunked":
                peer.send(answers.head(headers=[("Content-Type", "image/png"),
                                                ("Transfer-Encoding", "chunked")]))
                for at in range(0, len(body), 100):
                    peer.send(answers.chunk(body[at:at + 100]))
                peer.send(b"0\r\n\r\n")
            elif framing == "close":
                peer.send(answers.head(headers=[("Content-Type", "image/png")]) + body)
                return "close"
            elif framing == "bytes":
                peer.send_pieces(answers.whole(body, content_type="image/png"), 1)
            else:
                peer.send(answers.whole(body, content_type="image/png"))
            return None
        web.pages["/a"] = page
        assert gateway.post(CHAT, chat(web.url + "/a")).status == 200
        assert inlined(upstream) == [("image/png", body)]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_image(gateway, upstream, web, chunked):
    body = PNG + os.urandom(5 * MIB + 1)
    if chunked:
        web.pages["/a"] = answers.head(headers=[
            ("Content-Type", "image/png"), ("Transfer-Encoding", "chunked")]) \
            + answers.chunk(body) + b"0\r\n\r\n"
    else:
        web.add("/a", body)
    assert gateway.post(CHAT, chat(web.url + "/a")).status == 200
    assert inlined(upstream) == [("image/png", body)]


@pytest.mark.race
def test_the_same_url_is_fetched_once_and_others_at_the_same_time(gateway, upstream, web):
    arrived = threading.Barrier(3, timeout=8)

    def page(body, kind):
        def answer(peer, request):
            arrived.wait()  # all three are on their way at once
            peer.send(answers.whole(body, content_type=kind))
        return answer
    web.pages.update({"/a": page(PNG, "image/png"), "/b": page(JPEG, "image/jpeg"),
                      "/c": page(PNG + b"c", "image/png")})
    a, b, c = (web.url + path for path in ("/a", "/b", "/c"))
    assert gateway.post(CHAT, chat(a, b, a, c, a)).status == 200
    assert inlined(upstream) == [("image/png", PNG), ("image/jpeg", JPEG), ("image/png", PNG),
                                 ("image/png", PNG + b"c"), ("image/png", PNG)]
    assert len(web.asked()) == 3


def test_documents_of_messages(gateway, upstream, web):
    pdf, text = web.add("/a.pdf", PDF, "application/pdf"), web.add(
        "/a.txt", "\ufeffsay \"h\u00e9\"\n".encode(), "text/plain; charset=utf-8")
    response = gateway.post(MESSAGES, message(document(pdf), document(text),
                                              {"type": "text", "text": "sum up"}))
    assert response.status == 200, response
    assert inlined(upstream) == [("application/pdf", PDF)]
    parts = json.loads(upstream.last.body)["contents"][0]["parts"]
    assert {"text": "say \"h\u00e9\"\n"} in parts


def test_images_inside_tool_results(gateway, upstream, web):
    url = web.add("/shot.png", PNG)
    response = gateway.post(MESSAGES, {"model": "gemini-m", "max_tokens": 10, "messages": [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "toolu_1", "name": "shot", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [
            {"type": "image", "source": {"type": "url", "url": url}}]}]}]})
    assert response.status == 200, response
    assert ("image/png", PNG) in inlined(upstream)


def test_streams_too(gateway, upstream, web):
    response = gateway.post(CHAT, chat(web.add("/a", PNG), stream=True))
    assert response.status == 200 and response.events()[-1][1] == "[DONE]"
    assert inlined(upstream) == [("image/png", PNG)]


def test_the_bytes_tell_which_image_it_is(gateway, upstream, web):
    wrong = web.add("/a.png", JPEG, "image/png")
    untold = web.add("/b", PNG, "application/octet-stream")
    web.pages["/c"] = answers.head(headers=[("Content-Length", len(PNG))]) + PNG
    assert gateway.post(CHAT, chat(wrong, untold, web.url + "/c")).status == 200
    assert inlined(upstream) == [("image/jpeg", JPEG), ("image/png", PNG), ("image/png", PNG)]


@pytest.mark.parametrize("model", ["ollama-m", "bedrock-m"])
def test_other_upstreams_that_take_data_only(gateway, upstream, web, model):
    """What they get; the lab has honest providers of these dialects."""
    gateway.post(CHAT, chat(web.add("/a.png", PNG), model=model))
    assert base64.b64encode(PNG) in upstream.last.body
    if model == "bedrock-m":
        gateway.post(MESSAGES, message(document(web.add("/a", PDF, "application/pdf")),
                                       model=model))
        assert base64.b64encode(PDF) in upstream.last.body


def test_upstreams_that_take_urls_get_them(gateway, upstream, web):
    url = web.add("/a.png", PNG)
    assert gateway.post(CHAT, chat(url, model="claude-m")).status == 200
    assert url.encode() in upstream.last.body
    response = gateway.post(MESSAGES, message(
        {"type": "image", "source": {"type": "url", "url": url}}, model="m"))
    assert response.status == 200 and url.encode() in upstream.last.body
    assert not web.asked()


def test_what_the_vendor_reads_itself_is_left_to_it(gateway, upstream):
    url = "https://generativelanguage.googleapis.com/v1beta/files/abc"
    assert gateway.post(MESSAGES, message(document(url))).status == 200
    assert url.encode() in upstream.last.body


def test_the_next_target_gets_what_was_fetched(start, upstream, web):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, and nobody listens
        config = config_for(upstream.url, fetch={"allow_private_address": True})
        config["providers"].append({
            "id": "dead", "dialect": "gemini", "credential": "x", "allow_private_address": True,
            "base_url": f"http://127.0.0.1:{closed.getsockname()[1]}"})
        config["models"].append({"id": "two", "targets": [
            {"provider": "dead", "model": "g"}, {"provider": "gem", "model": "g", "priority": 2}]})
        accord = start(config)
        response = accord.post(CHAT, chat(web.add("/a", PNG), model="two"))
    assert response.status == 200 and response.header("accord-attempts") == "2"
    assert inlined(upstream) == [("image/png", PNG)]
    assert len(web.asked()) == 1


# ---- redirects ----

def hop(location, status=302):
    return answers.whole(b"", status=status, headers=[("Location", location)])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_three_redirects_are_followed(gateway, upstream, web, status):
    web.add("/d/end.png", PNG)
    web.pages.update({"/a": hop("/b", status), "/b": hop(web.url + "/d/c", status),
                      "/d/c": hop("end.png", status)})
    assert gateway.post(CHAT, chat(web.url + "/a")).status == 200
    assert inlined(upstream) == [("image/png", PNG)]


def test_a_fourth_redirect_is_not(gateway, upstream, web):
    web.pages["/loop"] = hop("/loop")
    refused(gateway, chat(web.url + "/loop"), web.url[7:], "redirects more than 3 times")
    assert len(web.asked()) == 4 and not upstream.requests


@pytest.mark.parametrize("location", ["ftp://a.test/x", "file:///etc/passwd", "http://u:p@a.test/",
                                      "http://", "gopher://127.0.0.1:25/"])
def test_redirects_to_what_is_no_place(gateway, upstream, web, location):
    web.pages["/a"] = hop(location)
    refused(gateway, chat(web.url + "/a"), "redirects to a URL that cannot be used")
    web.pages["/b"] = answers.whole(b"", status=302)
    refused(gateway, chat(web.url + "/b"), "redirects to nowhere")


# ---- private addresses ----

PRIVATE = ["127.0.0.1", "localhost", "[::1]", "127.1", "0x7f000001", "2130706433", "0.0.0.0",
           "[::ffff:127.0.0.1]"]


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_not_asked(start, upstream, web, host):
    accord = start(config_for(upstream.url))
    web.add("/a", PNG)
    text = refused(accord, chat(f"http://{host}:{web.server.port}/a"), host)
    # [::1] may have no route in a container: then no connection was tried, either.
    assert "private address" in text
    assert not web.server.peers and not upstream.requests
    assert "127.0.0.1" not in text.replace(host, "")


@pytest.fixture
def behind_a_proxy(start, upstream, web):
    """Public names lead, through a proxy, to `web`; the private ones are exempt or not."""
    def begin(exempt):
        return start(config_for(upstream.url), env={"http_proxy": web.url, "no_proxy": exempt})
    return begin


@pytest.mark.parametrize("exempt", ["127.0.0.1,localhost", "127.0.0.1"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_redirects_to_private_addresses_are_not_followed(behind_a_proxy, upstream, web, exempt,
                                                         host):
    accord = behind_a_proxy(exempt)
    secret = Web()
    try:
        secret.add("/a", PNG)
        target = f"http://{host}:{secret.server.port}/a"
        web.pages["http://pictures.test/a"] = hop(target)
        text = refused(accord, chat("http://pictures.test/a"), "pictures.test", "private address")
        assert host not in text and not secret.server.peers
    finally:
        secret.server.stop()
    assert not upstream.requests


def test_a_proxy_is_asked_for_the_whole_url(behind_a_proxy, upstream, web):
    accord = behind_a_proxy("127.0.0.1")
    web.pages["http://pictures.test/a?b"] = answers.whole(PNG, content_type="image/png")
    assert accord.post(CHAT, chat("http://pictures.test/a?b")).status == 200
    assert web.asked()[0].header("host") == "pictures.test"
    assert inlined(upstream) == [("image/png", PNG)]


# ---- what does not come, or is not what it should be ----

def page(status=200, headers=(), body=b"", end=None):
    def answer(peer, request):
        peer.send(answers.head(status, "X", headers) + body)
        return end
    return answer


TYPE = ("Content-Type", "image/png")
BAD = {
    "404": (page(404, [("Content-Length", 0)]), "404"),
    "500": (page(500, [("Content-Length", 6)], b"secret"), "500"),
    "204": (page(204), "204"),
    "304": (page(304), "304"),
    "206": (page(206, [TYPE, ("Content-Length", len(PNG))], PNG), "206"),
    "empty": (page(200, [TYPE, ("Content-Length", 0)]), "empty"),
    "compressed": (page(200, [TYPE, ("Content-Encoding", "gzip"), ("Content-Length", 4)], b"zzzz"),
                   "compressed"),
    "html": (page(200, [("Content-Type", "text/html"), ("Content-Length", 6)], b"secret"),
             "text/html"),
    "svg": (page(200, [("Content-Type", "image/svg+xml"), ("Content-Length", 6)], b"<svg/>"),
            "image/svg+xml"),
    "a lie": (page(200, [TYPE, ("Content-Length", 45)], b"<html><body>secret</body></html>" + b" " * 13),
              "said to be image/png"),
    "a short lie": (page(200, [TYPE, ("Content-Length", 6)], b"secret"), "said to be image/png"),
    "untyped": (page(200, [("Content-Length", 6)], b"secret"), "does not look like an image"),
    "odd type": (page(200, [("Content-Type", 'x"\\y\xe9'), ("Content-Length", 6)], b"secret"),
                 "not taken"),
    "cut": (page(200, [TYPE, ("Content-Length", 5000)], PNG, "close"), "broke"),
    "cut chunk": (page(200, [TYPE, ("Transfer-Encoding", "chunked")], answers.chunk(PNG), "close"),
                  "broke"),
    "no http": (lambda peer, request: peer.send(b"220 mail.test ESMTP secret\r\n\r\n"), "no HTTP answer"),
    "two lengths": (page(200, [TYPE, ("Content-Length", 5), ("Content-Length", 6)], b"secret"),
                    "no HTTP answer"),
    "hung up": (lambda peer, request: "close", "broke"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_a_400_that_says_where_and_why(gateway, upstream, web, name):
    web.pages["/a"], why = BAD[name]
    text = refused(gateway, chat(web.url + "/a"), web.url[7:], why)
    assert "secret" not in text
    assert not upstream.requests
    assert gateway.metric("accord_fetch_failures_total") == 1
    assert gateway.post(CHAT, chat(web.add("/good", PNG))).status == 200


def test_more_than_the_length_says_is_cut_off(gateway, upstream, web):
    web.pages["/a"] = answers.whole(PNG, content_type="image/png") + b"HTTP/1.1 200 OK\r\n\r\nmore"
    assert gateway.post(CHAT, chat(web.url + "/a")).status == 200
    assert inlined(upstream) == [("image/png", PNG)]


@pytest.mark.parametrize("url", ["http://no-such-host.invalid/a.png", "http://127.0.0.1:1/a.png",
                                 "http://user:pw@a.test/", "http://a.test:99999/", "http:///x",
                                 "http://a.test/\r\nx: y", "http://\u00e9.test/"])
def test_urls_that_lead_nowhere(gateway, upstream, url):
    text = refused(gateway, chat(url))
    assert "pw" not in text and not upstream.requests


def test_texts_must_be_texts(gateway, upstream, web):
    latin = web.add("/a.txt", b"caf\xe9", "text/plain")
    text = gateway.post(MESSAGES, message(document(latin)))
    assert text.status == 400 and "UTF-8" in text.json()["error"]["message"]
    html = web.add("/a.pdf", b"<html>sign in</html>", "text/html")
    assert gateway.post(MESSAGES, message(document(html))).status == 400
    assert not upstream.requests


def test_errors_are_in_the_callers_dialect(gateway, upstream, web):
    web.pages["/a"] = page(404, [("Content-Length", 0)])
    error = gateway.post(MESSAGES, message(document(web.url + "/a"))).json()
    assert error["type"] == "error" and error["error"]["type"] == "invalid_request_error"
    assert f'The document at "{web.url[7:]}"' in error["error"]["message"]
    response = gateway.post(CHAT, chat(web.url + "/a", stream=True))
    assert response.status == 400 and response.json()["error"]["type"] == "invalid_request_error"
    assert response.header("x-should-retry") == "false"
    assert [line["outcome"] for line in gateway.wait_access_log(2)] == ["refused", "refused"]


# ---- https ----

@pytest.fixture
def secure(pki):  # noqa: F811
    server = Web(tls=server_context(pki, "first"))
    yield server
    server.server.stop()


def test_https_is_verified(start, upstream, secure, pki):  # noqa: F811
    url = secure.add("/a", PNG).replace("127.0.0.1", "localhost")
    config = config_for(upstream.url, fetch={"allow_private_address": True})
    trusting = start(config, env={"SSL_CERT_FILE": str(pki / "ca.pem")})
    assert trusting.post(CHAT, chat(url)).status == 200
    assert inlined(upstream) == [("image/png", PNG)]
    secure.pages["/down"] = hop("http://a.test/")
    refused(trusting, chat(url.replace("/a", "/down")), "from https to http")
    refused(start(config), chat(url), "certificate")
    assert len(secure.asked("/a")) == 1
