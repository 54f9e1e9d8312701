"""What fetching for a call may cost, and calls that end while something is fetched for them."""

import socket
import threading
import time

import pytest

import answers
from accord import config_for
from test_inline import (CHAT, PNG, TYPE, chat, gateway, inlined, page, refused,  # noqa: F401
                         web)
from wire import wait_for


# ---- limits ----

def test_sizes(start, upstream, web):
    accord = start(config_for(upstream.url, fetch={"allow_private_address": True,
                                                   "max_bytes": 2000}))
    fits = web.add("/fits", PNG + b"x" * (2000 - len(PNG)))
    assert accord.post(CHAT, chat(fits)).status == 200
    upstream.clear()
    refused(accord, chat(web.add("/over", PNG + b"x" * (2001 - len(PNG)))), "larger than", "2000")
    web.pages["/unsaid"] = page(200, [TYPE, ("Transfer-Encoding", "chunked")],
                                answers.chunk(PNG) + answers.chunk(b"x" * 2000))
    refused(accord, chat(web.url + "/unsaid"), "larger than", "2000")
    web.pages["/lie"] = page(200, [TYPE, ("Content-Length", 1 << 60)], PNG)
    refused(accord, chat(web.url + "/lie"), "larger than", "2000")
    others = [web.add(f"/{i}", PNG) for i in range(4)]
    assert accord.post(CHAT, chat(*others[:3])).status == 200
    upstream.clear()
    refused(accord, chat(*others), "with the others of this request", "4000")
    assert not upstream.requests


def test_a_flood_is_not_kept(gateway, upstream, web):
    def flood(peer, request):
        peer.send(answers.head(headers=[TYPE]) + PNG)
        while True:
            peer.send(b"x" * 65536)
    web.pages["/a"] = flood
    refused(gateway, chat(web.url + "/a"), "larger than")


def test_a_number(gateway, upstream, web):
    urls = [web.add(f"/{i}", PNG) for i in range(21)]
    assert gateway.post(CHAT, chat(*urls[:20], *urls[:5])).status == 200
    upstream.clear()
    count = len(web.asked())
    refused(gateway, chat(*urls), "More than 20")
    assert len(web.asked()) == count and not upstream.requests


def test_no_more_at_a_time_than_a_worker_can_bear(start, upstream, web):
    accord = start(config_for(upstream.url, workers=1, fetch={"allow_private_address": True}))
    hold(web, *(f"/{i}" for i in range(20)))
    urls = [f"{web.url}/{i}" for i in range(20)]
    open_ones = [accord.open_stream(CHAT, chat(*urls)) for _ in range(12)]
    wait_for(lambda: len(web.asked()) == 240, what="240 fetches")
    response = accord.post(CHAT, chat(*urls))
    assert response.status == 503 and response.json()["error"]["code"] == "too_many_fetches"
    assert response.header("x-should-retry") == "true"
    open_ones.append(accord.open_stream(CHAT, chat(*urls[:16])))
    wait_for(lambda: len(web.asked()) == 256, what="256 fetches")
    open_ones.pop().close()  # what it held is free again
    wait_for(lambda: accord.metric("accord_client_gone_total") == 1, what="it to be gone")
    open_ones.append(accord.open_stream(CHAT, chat(*urls[:16])))
    wait_for(lambda: len(web.asked()) == 272, what="16 more")
    web.server.release.set()
    for connection in open_ones:
        assert connection.read_response("POST").status == 200
    assert accord.post(CHAT, chat(*urls)).status == 200


def test_it_can_be_turned_off(start, upstream, web):
    accord = start(config_for(upstream.url, fetch={"allow_private_address": True, "max_bytes": 0}))
    refused(accord, chat(web.add("/a", PNG)), "fetches nothing")
    assert not web.asked()


def test_ten_seconds(gateway, upstream, web):
    def trickle(peer, request):
        peer.send(answers.head(headers=[TYPE]) + PNG)
        while True:
            peer.send(b"x")
            time.sleep(0.1)
    web.pages["/a"] = trickle
    began = time.monotonic()
    refused(gateway, chat(web.url + "/a"), "10 seconds")
    assert 9 < time.monotonic() - began < 14
    wait_for(lambda: web.server.peers[0].closed_at, what="the connection to close")


# ---- a call that ends meanwhile ----

def hold(web, *paths):
    """Pages that answer when the test says so."""
    def answer(peer, request):
        peer.send(answers.head(headers=[TYPE, ("Content-Length", len(PNG))]) + PNG[:100])
        web.server.release.wait(20)
        peer.send(PNG[100:])
    web.pages.update(dict.fromkeys(paths or ("/held", "/held?2"), answer))
    return web.url + "/held"


@pytest.mark.race
def test_a_client_that_leaves_takes_its_fetches_along(gateway, upstream, web):
    connection = gateway.open_stream(CHAT, chat(hold(web), web.url + "/held?2"))
    wait_for(lambda: web.asked("/held"), what="the fetch to begin")
    connection.close()
    wait_for(lambda: gateway.access_log(), what="the call to end")
    assert gateway.access_log()[0]["outcome"] == "client_gone"
    web.server.release.set()
    wait_for(lambda: all(p.closed_at for p in web.server.peers), what="the fetch to be given up")
    assert not upstream.requests and gateway.metric("accord_inflight") == 0


def test_one_that_fails_ends_the_others(gateway, upstream, web):
    url = hold(web)

    def late(peer, request):
        wait_for(lambda: web.asked("/held"), what="the other one")
        peer.send(answers.whole(b"", status=404))
    web.pages["/bad"] = late
    refused(gateway, chat(url, web.url + "/bad"), "404")
    web.server.release.set()
    wait_for(lambda: all(p.closed_at for p in web.server.peers), what="the other to be given up")
    assert not upstream.requests


def test_the_calls_own_deadline(start, upstream, web):
    accord = start(config_for(upstream.url, timeouts={"total_ms": 500},
                              fetch={"allow_private_address": True}))
    response = accord.post(CHAT, chat(hold(web)))
    assert response.status == 408 and response.json()["error"]["code"] == "request_timeout"
    web.server.release.set()
    assert not upstream.requests


def test_a_stop_waits_for_what_comes(gateway, upstream, web):
    connection = gateway.open_stream(CHAT, chat(hold(web)))
    wait_for(lambda: web.asked("/held"), what="the fetch to begin")
    gateway.signal(15)
    wait_for(lambda: not can_connect(gateway), what="the listener to close")
    web.server.release.set()
    assert connection.read_response("POST").status == 200
    assert inlined(upstream) == [("image/png", PNG)]


def can_connect(accord):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", accord.port)) == 0


def test_a_stop_waits_no_longer_than_it_should(start, upstream, web):
    accord = start(config_for(upstream.url, timeouts={"drain_ms": 300},
                              fetch={"allow_private_address": True}))
    connection = accord.open_stream(CHAT, chat(hold(web)))
    wait_for(lambda: web.asked("/held"), what="the fetch to begin")
    accord.signal(15)
    response = connection.read_response("POST")
    assert response.status == 503 and response.json()["error"]["code"] == "server_stopping"
    web.server.release.set()
    assert not upstream.requests


@pytest.mark.race
def test_many_at_once(gateway, upstream, web):
    urls = [web.add(f"/{i}", PNG + bytes([i])) for i in range(8)]
    web.pages["/bad"] = page(404, [("Content-Length", 0)])
    seen = []

    def one(i):
        bad = i % 4 == 3
        seen.append((bad, gateway.post(CHAT, chat(
            *urls[i % 8:], *([web.url + "/bad"] if bad else []))).status))
    threads = [threading.Thread(target=one, args=(i,)) for i in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [(False, 200)] * 18 + [(True, 400)] * 6


def test_a_reload_meanwhile(gateway, upstream, web):
    connection = gateway.open_stream(CHAT, chat(hold(web)))
    wait_for(lambda: web.asked("/held"), what="the fetch to begin")
    before = gateway.metric("accord_config_generation")
    gateway.write_config(config_for(upstream.url))
    gateway.signal(1)
    wait_for(lambda: gateway.metric("accord_config_generation") > before, what="the reload")
    web.server.release.set()
    assert connection.read_response("POST").status == 200
    refused(gateway, chat(web.url + "/held"), "private address")
