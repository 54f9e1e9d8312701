"""RFC 9112 as a table: what is ambiguous or malformed is refused and never repaired.

Each case is sent whole, and cut in two at every byte, the second part after the server has read
the first. A refused request must close the connection and must not reach the upstream.
"""

import pytest

import answers
from accord import KEY, Accord, config_for
from hostile import Hostile
from wire import Closed, request, wait_consumed

BODY = b'{"model":"m","messages":[]}'
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
HOST = b"Host: a.test"
AUTH = b"x-api-key: " + KEY.encode()
PATH = b"/v1/chat/completions"
SECOND = (b"POST " + PATH + b" HTTP/1.1\r\n" + HOST + b"\r\n" + AUTH + b"\r\n" + LENGTH
          + b"\r\n\r\n" + BODY)


def head(*lines, start=b"POST " + PATH + b" HTTP/1.1", host=HOST):
    fixed = [host] if host else []
    return b"\r\n".join([start, *fixed, AUTH, *lines]) + b"\r\n\r\n"


def chunks(raw):
    return head(CHUNKED) + raw


# name: (bytes, statuses that are right)
REFUSED = {
    # Length and coding: RFC 9112, 6.1 to 6.3
    "both length and coding": (head(LENGTH, CHUNKED) + CHUNKS, {400}),
    "coding and then length": (head(CHUNKED, LENGTH) + CHUNKS, {400}),
    "two equal lengths": (head(LENGTH, LENGTH) + BODY, {400}),
    "two different lengths": (head(LENGTH, b"Content-Length: 5") + BODY, {400}),
    "a list of lengths": (head(b"Content-Length: 27, 27") + BODY, {400}),
    "an empty length": (head(b"Content-Length:") + BODY, {400}),
    "a length with a plus": (head(b"Content-Length: +27") + BODY, {400}),
    "a negative length": (head(b"Content-Length: -1") + BODY, {400}),
    "a hexadecimal length": (head(b"Content-Length: 0x1b") + BODY, {400}),
    "a length with a blank inside": (head(b"Content-Length: 2 7") + BODY, {400}),
    "a length with a point": (head(b"Content-Length: 27.0") + BODY, {400}),
    "a length beyond 64 bits": (head(b"Content-Length: 99999999999999999999") + BODY, {400, 413}),
    "an unknown coding": (head(b"Transfer-Encoding: gzip") + CHUNKS, {400}),
    "an unknown coding before chunked": (head(b"Transfer-Encoding: gzip, chunked") + CHUNKS, {400}),
    "a coding after chunked": (head(b"Transfer-Encoding: chunked, gzip") + CHUNKS, {400}),
    "chunked twice": (head(b"Transfer-Encoding: chunked, chunked") + CHUNKS, {400}),
    "two codings in two lines": (head(CHUNKED, b"Transfer-Encoding: identity") + CHUNKS, {400}),
    "identity": (head(b"Transfer-Encoding: identity") + BODY, {400}),
    "a coding with a vertical tab": (head(b"Transfer-Encoding: \x0bchunked") + CHUNKS, {400}),
    "a coding with a prefix": (head(b"Transfer-Encoding: xchunked") + CHUNKS, {400}),
    "an empty coding": (head(b"Transfer-Encoding:") + CHUNKS, {400}),
    "a coding in HTTP/1.0": (
        head(CHUNKED, start=b"POST " + PATH + b" HTTP/1.0") + CHUNKS, {400}),
    # Lines: RFC 9112, 2.2 and 5.1, 5.2
    "an obsolete fold": (head(b"X-A: b\r\n c", LENGTH) + BODY, {400}),
    "an obsolete fold with a tab": (head(b"X-A: b\r\n\tc", LENGTH) + BODY, {400}),
    "a fold before the first header": (
        b"POST " + PATH + b" HTTP/1.1\r\n " + HOST + b"\r\n" + LENGTH + b"\r\n\r\n" + BODY, {400}),
    "a bare LF ends a header": (head(b"X-A: b\nX-C: d", LENGTH) + BODY, {400}),
    "bare LF everywhere": (head(LENGTH).replace(b"\r\n", b"\n") + BODY, {400}),
    "a bare LF ends the head": (head(LENGTH)[:-2] + b"\n" + BODY, {400}),
    "a bare CR in a value": (head(b"X-A: b\rc", LENGTH) + BODY, {400}),
    "a bare CR at the end of a value": (head(b"X-A: b\r", LENGTH) + BODY, {400}),
    "a bare CR in a name": (head(b"X-\rA: b", LENGTH) + BODY, {400}),
    "a blank before the colon": (head(b"X-A : b", LENGTH) + BODY, {400}),
    "a blank before the colon of a length": (head(b"Content-Length : 27") + BODY, {400}),
    "a tab before the colon": (head(b"X-A\t: b", LENGTH) + BODY, {400}),
    "no colon": (head(b"X-A", LENGTH) + BODY, {400}),
    "an empty name": (head(b": b", LENGTH) + BODY, {400}),
    "a NUL in a value": (head(b"X-A: b\0c", LENGTH) + BODY, {400}),
    "a NUL in a name": (head(b"X-\0A: b", LENGTH) + BODY, {400}),
    "a control character in a value": (head(b"X-A: b\x01c", LENGTH) + BODY, {400}),
    "a DEL in a value": (head(b"X-A: b\x7fc", LENGTH) + BODY, {400}),
    "a parenthesis in a name": (head(b"X(A): b", LENGTH) + BODY, {400}),
    "a byte above 127 in a name": (head(b"X-\xe9: b", LENGTH) + BODY, {400}),
    # The request line: RFC 9112, 3
    "a control character in the target": (
        head(LENGTH, start=b"POST " + PATH + b"\x01 HTTP/1.1") + BODY, {400}),
    "a NUL in the target": (head(LENGTH, start=b"POST " + PATH + b"\0 HTTP/1.1") + BODY, {400}),
    "a DEL in the target": (head(LENGTH, start=b"POST " + PATH + b"\x7f HTTP/1.1") + BODY, {400}),
    "a blank in the target": (head(LENGTH, start=b"POST /v1/chat /c HTTP/1.1") + BODY, {400}),
    "a tab in the request line": (
        head(LENGTH, start=b"POST\t" + PATH + b" HTTP/1.1") + BODY, {400}),
    "two blanks after the method": (
        head(LENGTH, start=b"POST  " + PATH + b" HTTP/1.1") + BODY, {400}),
    "a target without a slash": (head(LENGTH, start=b"POST v1/chat HTTP/1.1") + BODY, {400}),
    "a method with a colon": (head(LENGTH, start=b"PO:ST " + PATH + b" HTTP/1.1") + BODY, {400}),
    "no version": (head(LENGTH, start=b"POST " + PATH) + BODY, {400}),
    "a version with two digits": (
        head(LENGTH, start=b"POST " + PATH + b" HTTP/1.10") + BODY, {400}),
    "a version in small letters": (
        head(LENGTH, start=b"POST " + PATH + b" http/1.1") + BODY, {400}),
    "something after the version": (
        head(LENGTH, start=b"POST " + PATH + b" HTTP/1.1 x") + BODY, {400}),
    "HTTP/2 in text": (head(LENGTH, start=b"POST " + PATH + b" HTTP/2.0") + BODY, {400, 505}),
    # Host: RFC 9112, 3.2
    "no Host": (head(LENGTH, host=None) + BODY, {400}),
    "two Hosts": (head(HOST, LENGTH) + BODY, {400}),
    "two different Hosts": (head(b"Host: b.test", LENGTH) + BODY, {400}),
    "a blank in Host": (head(LENGTH, host=b"Host: a b") + BODY, {400}),
    "a slash in Host": (head(LENGTH, host=b"Host: a/b") + BODY, {400}),
    # Chunks: RFC 9112, 7.1
    "an empty chunk size": (chunks(b"\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "a chunk size that is no number": (chunks(b"z\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "a negative chunk size": (chunks(b"-1\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "a chunk size with 0x": (chunks(b"0x1b\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "a chunk size with a plus": (chunks(b"+1b\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "a blank before a chunk size": (chunks(b" 1b\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "a chunk size beyond 64 bits": (chunks(b"f" * 17 + b"\r\n" + BODY), {400, 413}),
    "a bare LF after a chunk size": (chunks(b"1b\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "a bare CR after a chunk size": (chunks(b"1b\rx" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "a chunk longer than its size": (chunks(b"1a\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "a bare LF after a chunk": (chunks(b"1b\r\n" + BODY + b"\n0\r\n\r\n"), {400}),
    "a bare LF in a chunk extension": (chunks(b"1b;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "a NUL in a chunk extension": (chunks(b"1b;a\0b\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "a bare LF after the last chunk": (chunks(b"1b\r\n" + BODY + b"\r\n0\n\r\n"), {400}),
    "a trailer without a colon": (chunks(CHUNKS[:-2] + b"nonsense\r\n\r\n"), {400}),
    "a trailer with a blank before the colon": (chunks(CHUNKS[:-2] + b"X-A : b\r\n\r\n"), {400}),
    "a folded trailer": (chunks(CHUNKS[:-2] + b"X-A: b\r\n c\r\n\r\n"), {400}),
    # Expect: RFC 9110, 10.1.1
    "an unknown expectation": (head(b"Expect: a-pony", LENGTH) + BODY, {400, 417}),
}

ACCEPTED = {
    "a length": head(LENGTH) + BODY,
    "a length with leading zeros": head(b"Content-Length: 0027") + BODY,
    "chunks": chunks(CHUNKS),
    "a coding in capitals with blanks": head(b"Transfer-Encoding:  Chunked \t") + CHUNKS,
    "one chunk for each byte": chunks(
        b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"),
    "chunk sizes with zeros and capitals": chunks(
        b"001B\r\n" + BODY + b"\r\n000\r\n\r\n"),
    "short chunk extensions": chunks(
        b'1b;a=b;c="d e"\r\n' + BODY + b"\r\n0;z\r\n\r\n"),
    "trailers": chunks(CHUNKS[:-2] + b"X-A: b\r\nX-C: d\r\n\r\n"),
    "no blank after the colon": head(b"X-A:b", LENGTH) + BODY,
    "blanks around a value": head(b"X-A: \t b \t ", LENGTH) + BODY,
    "an empty value": head(b"X-A:", LENGTH) + BODY,
    "bytes above 127 in a value": head(b"X-A: \xe9\xff", LENGTH) + BODY,
    "an absolute target": head(LENGTH, start=b"POST http://a.test" + PATH + b" HTTP/1.1") + BODY,
    "an empty line before the request": b"\r\n" + head(LENGTH) + BODY,
    "a port in Host": head(LENGTH, host=b"Host: a.test:80") + BODY,
    "an IPv6 Host": head(LENGTH, host=b"Host: [::1]:80") + BODY,
}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """One server and upstream for the whole table: some ten thousand connections."""
    upstream = Hostile()
    server = Accord(tmp_path_factory.mktemp("framing"), config_for(upstream.url))
    server.upstream = upstream
    yield server
    server.stop()
    upstream.stop()
    assert not upstream.errors, upstream.errors


def check_refused(connection, statuses):
    response = connection.read_response()
    assert response.status in statuses, response
    assert connection.closes(), "refused, but the connection stays open"


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_request_is_refused_and_closed(table, name):
    data, statuses = REFUSED[name]
    table.upstream.clear()
    with table.connect() as connection:
        # What follows must not be read as a second request.
        connection.send(data + SECOND)
        check_refused(connection, statuses)
    assert table.upstream.seen == b"", "a refused request reached the upstream"


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_request_is_refused_however_it_is_split(table, name):
    data, statuses = REFUSED[name]
    table.upstream.clear()
    send_split_everywhere(table, data, lambda connection: check_refused(connection, statuses))
    assert table.upstream.seen == b"", "a refused request reached the upstream"


def check_accepted(connection):
    response = connection.read_response()
    assert (response.status, response.body) == (200, answers.CHAT), response


@pytest.mark.parametrize("name", ACCEPTED)
def test_well_formed_request_is_answered_however_it_is_split(table, name):
    table.upstream.clear()
    send_split_everywhere(table, ACCEPTED[name], check_accepted)
    sent = BODY.replace(b'"m"', b'"upstream-m"')
    assert {r.body for r in table.upstream.requests} == {sent}


def send_split_everywhere(server, data, check):
    """Cuts in two at every byte; 64 connections at a time wait for the server together."""
    cuts = list(range(1, len(data)))
    for start in range(0, len(cuts), 64):
        group = [(cut, server.connect()) for cut in cuts[start:start + 64]]
        try:
            for cut, connection in group:
                connection.send(data[:cut])
            wait_consumed([connection for _, connection in group])
            for cut, connection in group:
                connection.send(data[cut:])
            for cut, connection in group:
                try:
                    check(connection)
                except (AssertionError, Closed, TimeoutError) as error:
                    raise AssertionError(
                        f"cut at {cut}: {data[:cut][-40:]!r} | {data[cut:][:40]!r}: "
                        f"{error}") from error
        finally:
            for _, connection in group:
                connection.close()


def test_byte_by_byte_request_is_answered(table):
    data = head(CHUNKED) + CHUNKS
    with table.connect() as connection:
        for at in range(len(data)):
            connection.send(data[at:at + 1])
            wait_consumed([connection])
        check_accepted(connection)


def test_pipelined_requests_are_answered_in_order(table):
    with table.connect() as connection:
        get = request("GET", "/v1/models", [("x-api-key", KEY)])
        connection.send(SECOND + get + SECOND + get)
        check_accepted(connection)
        assert "data" in connection.read_response().json()
        check_accepted(connection)
        assert "data" in connection.read_response().json()


def test_connection_is_kept_between_requests(table):
    with table.connect() as connection:
        for _ in range(5):
            connection.send(SECOND)
            check_accepted(connection)


def test_connection_close_is_honoured(table):
    with table.connect() as connection:
        connection.send(head(LENGTH, b"Connection: close") + BODY)
        response = connection.read_response()
        assert response.status == 200
        assert response.header("connection", "").lower() == "close"
        assert connection.closes()


def test_http_1_0_closes_unless_asked_to_keep_alive(table):
    with table.connect() as connection:
        connection.send(head(LENGTH, start=b"POST " + PATH + b" HTTP/1.0") + BODY)
        response = connection.read_response()
        assert response.status == 200
        assert not response.head.all("transfer-encoding")
        assert connection.closes()


def test_expect_100_continue_is_answered_before_the_body(table):
    with table.connect() as connection:
        connection.send(head(LENGTH, b"Expect: 100-continue"))
        assert connection.read_head().start.startswith("HTTP/1.1 100 ")
        connection.send(BODY)
        check_accepted(connection)


def test_expect_100_continue_is_refused_before_the_body_when_the_key_is_wrong(table):
    bad = head(LENGTH, b"Expect: 100-continue").replace(KEY.encode(), b"sk-accord-not-a-key-at-all")
    with table.connect() as connection:
        connection.send(bad)
        assert connection.read_response().status == 401
        assert connection.interim == []


def test_head_has_the_headers_of_get_and_no_body(table):
    with table.connect() as connection:
        connection.send(request("HEAD", "/v1/models", [("x-api-key", KEY)]))
        response = connection.read_response("HEAD")
        assert (response.status, response.body) == (200, b"")
        connection.send(SECOND)
        check_accepted(connection)


def test_half_closed_client_still_gets_its_answer(table):
    with table.connect() as connection:
        connection.send(SECOND)
        connection.half_close()
        check_accepted(connection)
        assert connection.closes()


def test_body_cut_short_by_the_client_never_reaches_the_upstream(table):
    table.upstream.clear()
    with table.connect() as connection:
        connection.send(head(LENGTH) + BODY[:-1])
        connection.half_close()
        received = connection.read_to_end()
        assert b" 200 " not in received
    assert table.upstream.seen == b""


def test_long_chunk_extensions_are_refused(table):
    with table.connect() as connection:
        connection.send(chunks(b"1b;" + b"a" * 65536 + b"\r\n" + BODY + b"\r\n0\r\n\r\n"))
        check_refused(connection, {400})


def test_endless_trailers_are_refused(table):
    with table.connect() as connection:
        connection.send(chunks(CHUNKS[:-2] + b"X-A: b\r\n" * 20000 + b"\r\n"))
        check_refused(connection, {400, 431})
