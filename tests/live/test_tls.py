"""TLS on both sides, with certificates made for this run."""

import signal
import socket
import ssl
import subprocess
import threading

import pytest

import answers
from accord import KEY, config_for, run
from hostile import Hostile
from wire import request, wait_for

CHAT = "/v1/chat/completions"
BODY = b'{"model":"m","messages":[]}'


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True,
                   timeout=30)


def certificate(directory, name, subject_alternative):
    """NAME.pem and NAME.key, signed by the authority of the directory."""
    (directory / f"{name}.ext").write_text(f"subjectAltName={subject_alternative}\n",
                                           encoding="ascii")
    openssl(directory, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    openssl(directory, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-out", f"{name}.pem", "-extfile", f"{name}.ext")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pki")
    openssl(directory, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test CA",
            "-addext", "basicConstraints=critical,CA:TRUE")
    certificate(directory, "first", "DNS:localhost,IP:127.0.0.1")
    certificate(directory, "second", "DNS:localhost,IP:127.0.0.1")
    certificate(directory, "other", "DNS:other.test")
    return directory


def server_context(pki, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def tls_config(upstream, pki, name="first"):
    return config_for(upstream.url, tls={"certificate": str(pki / f"{name}.pem"),
                                         "key": str(pki / f"{name}.key")})


def dial(accord, pki, **limits):
    context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    for name, value in limits.items():
        setattr(context, name, value)
    sock = socket.create_connection(("127.0.0.1", accord.port), timeout=15)
    return context.wrap_socket(sock, server_hostname="localhost")


def exchange(sock, data):
    sock.sendall(data)
    received = b""
    while True:
        more = sock.recv(65536)
        if not more:
            return received
        received += more


CLOSING = request("POST", CHAT, [("x-api-key", KEY), ("Connection", "close")], BODY)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_clients_are_served_over_tls_and_only_http_1_1_is_offered(start, upstream, pki, version):
    accord = start(tls_config(upstream, pki))
    assert accord.address.startswith("https://")
    with dial(accord, pki, minimum_version=version, maximum_version=version) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
        received = exchange(sock, CLOSING)
    assert received.startswith(b"HTTP/1.1 200 ") and received.endswith(answers.CHAT)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_is_refused(start, upstream, pki):
    accord = start(tls_config(upstream, pki))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        dial(accord, pki, minimum_version=ssl.TLSVersion.TLSv1,
             maximum_version=ssl.TLSVersion.TLSv1_1)


def test_plain_http_to_a_tls_port_is_closed_and_serves_nothing(start, upstream, pki):
    accord = start(tls_config(upstream, pki))
    with accord.connect() as connection:
        connection.send(CLOSING)
        assert b" 200 " not in connection.read_to_end()
    assert upstream.seen == b""


def test_certificate_is_replaced_by_reload_without_dropping_connections(start, upstream, pki,
                                                                        tmp_path):
    live = {name: tmp_path / name for name in ("pem", "key")}
    for name, path in live.items():
        path.write_bytes((pki / f"first.{name}").read_bytes())
    accord = start(config_for(upstream.url, tls={"certificate": str(live["pem"]),
                                                 "key": str(live["key"])}))
    with dial(accord, pki) as held:
        before = held.getpeercert()["serialNumber"]
        for name, path in live.items():
            path.write_bytes((pki / f"second.{name}").read_bytes())
        accord.signal(signal.SIGHUP)

        def serial():
            with dial(accord, pki) as sock:
                return sock.getpeercert()["serialNumber"]

        wait_for(lambda: serial() != before, what="the new certificate")
        assert exchange(held, CLOSING).endswith(answers.CHAT)


def test_bytes_split_into_tiny_tls_records_are_understood(start, upstream, pki):
    accord = start(tls_config(upstream, pki))
    with dial(accord, pki) as sock:
        for at in range(len(CLOSING) - 1):
            sock.sendall(CLOSING[at:at + 1])
        assert exchange(sock, CLOSING[-1:]).endswith(answers.CHAT)


@pytest.fixture
def tls_upstream(pki):
    running = []

    def make(name):
        hostile = Hostile(tls=server_context(pki, name))
        running.append(hostile)
        return hostile

    yield make
    for hostile in running:
        hostile.stop()


def test_upstream_is_called_over_tls_when_its_certificate_is_good(start, tls_upstream, pki):
    upstream = tls_upstream("first")
    accord = start(config_for(upstream.url), env={"SSL_CERT_FILE": str(pki / "ca.pem")})
    for _ in range(3):
        response = accord.post(CHAT, BODY)
        assert (response.status, response.body) == (200, answers.CHAT)
    assert upstream.peers[0].sock.selected_alpn_protocol() == "http/1.1"


def test_stream_over_tls_is_byte_exact(start, tls_upstream, pki):
    accord = start(config_for(tls_upstream("first").url),
                   env={"SSL_CERT_FILE": str(pki / "ca.pem")})
    response = accord.post(CHAT, {"model": "m", "messages": [], "stream": True})
    assert response.body == b"".join([*answers.CHAT_EVENTS, answers.DONE])


def test_upstream_cut_without_a_tls_goodbye_is_no_clean_end(start, tls_upstream, pki):
    def cut(peer, request):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
                  + b"".join(answers.CHAT_EVENTS[:2]))
        socket.socket.shutdown(peer.sock, socket.SHUT_RDWR)
        return "close"

    upstream = tls_upstream("first")
    upstream.answer = cut
    accord = start(config_for(upstream.url), env={"SSL_CERT_FILE": str(pki / "ca.pem")})
    with accord.open_stream(CHAT, {"model": "m", "messages": [], "stream": True}) as connection:
        connection.read_head()
        body, clean = connection.read_body_so_far()
    assert not clean
    assert b'"error"' in body


@pytest.mark.parametrize("name,trusted", [("first", False), ("other", True)])
def test_upstream_with_a_wrong_certificate_is_refused(start, tls_upstream, pki, name, trusted):
    """Unknown authority, or a name that is not the host's."""
    upstream = tls_upstream(name)
    accord = start(config_for(upstream.url),
                   env={"SSL_CERT_FILE": str(pki / "ca.pem")} if trusted else None)
    response = accord.post(CHAT, BODY)
    assert response.status in (502, 503)
    assert upstream.requests == []


class ConnectProxy:
    """A forward proxy that knows CONNECT and sends every tunnel to one address."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(sock,), daemon=True).start()

    def _tunnel(self, sock):
        head = b""
        while b"\r\n\r\n" not in head:
            more = sock.recv(4096)
            if not more:
                return
            head += more
        self.seen.append(head)
        there = socket.create_connection(("127.0.0.1", self.target_port))
        sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=self._pump, args=(there, sock), daemon=True).start()
        self._pump(sock, there)

    @staticmethod
    def _pump(source, sink):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for sock in (source, sink):
                sock.close()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def test_https_proxy_is_honoured(start, tls_upstream, pki):
    upstream = tls_upstream("first")
    proxy = ConnectProxy(upstream.port)
    config = config_for(f"https://localhost:{upstream.port}")
    accord = start(config, env={"SSL_CERT_FILE": str(pki / "ca.pem"),
                                "HTTPS_PROXY": f"http://user:pass@127.0.0.1:{proxy.port}"})
    assert accord.post(CHAT, BODY).status == 200
    assert proxy.seen[0].startswith(f"CONNECT localhost:{upstream.port} HTTP/1.1\r\n".encode())
    assert b"roxy-Authorization: Basic dXNlcjpwYXNz" in proxy.seen[0] or \
        b"roxy-authorization: Basic dXNlcjpwYXNz" in proxy.seen[0]
    assert upstream.last.header("proxy-authorization") is None
    proxy.stop()


def test_no_proxy_is_honoured(start, tls_upstream, pki):
    upstream = tls_upstream("first")
    accord = start(config_for(f"https://localhost:{upstream.port}"), env={
        "SSL_CERT_FILE": str(pki / "ca.pem"), "HTTPS_PROXY": "http://127.0.0.1:1",
        "NO_PROXY": "example.com,localhost"})
    assert accord.post(CHAT, BODY).status == 200


def test_a_proxy_of_another_kind_is_refused_with_what_is_allowed(tmp_path):
    (tmp_path / "accord.yaml").write_text("providers: [{id: a, dialect: openai}]\n", encoding="utf-8")
    refused = run(["serve", "-c", "accord.yaml", "--listen", "127.0.0.1:0"], tmp_path,
                  {"HTTPS_PROXY": "socks5://user:canary@127.0.0.1:1"})
    assert refused.returncode == 3 and "HTTPS_PROXY" in refused.stderr
    assert "http://[USER:PASSWORD@]HOST:PORT" in refused.stderr and "canary" not in refused.stderr


def test_check_opens_the_certificate_and_its_key(pki, tmp_path):
    def check(key):
        path = tmp_path / "accord.yaml"
        path.write_text(f"tls: {{certificate: {pki}/first.pem, key: {pki}/{key}}}\n")
        return run(["check", "-c", str(path)], tmp_path)

    assert check("first.key").returncode == 0
    for key in ("none.key", "other.key"):
        refused = check(key)
        assert refused.returncode == 3 and key in refused.stderr, refused.stderr
