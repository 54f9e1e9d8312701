"""The programs under test: a row in PROGRAMS and a function that starts one. To compare with
another proxy is to add both."""
import hashlib
import json
import os
import shutil
import subprocess
import time

from . import build, procs
from .procs import BenchError

ALIAS = "bench-model"                     # what the load asks for
LIMITED = "bench-limit"                   # the same again, priced; as long
LIMITED_KEY = "sk-accord-bench-limited-0000000000000000000000"
CACHED_KEY = "sk-accord-bench-cached-00000000000000000000000"
TRANSLATED = "mocka-model"                # the same of Accord's provider that speaks Messages; as long
UPSTREAM_MODEL = "mock-upstream-model-1"  # what Accord makes of it: another length, so it splices
KEY = "sk-accord-bench-000000000000000000000000000000"
UPSTREAM_KEY = "sk-upstream-bench-0001"


class Running:
    """A started program: where it listens, which processes its CPU and memory are counted of."""

    def __init__(self, name, process, port, pids, stream_port=None, **extra):
        self.name = name
        self.process = process
        self.port = port
        self.stream_port = stream_port or port
        self.pids = pids
        self.__dict__.update(extra)

    def stop(self):
        return procs.stop(self.process) if self.process else 0


class Context:
    """What a start function needs: where the upstream is, where files may go, which core."""

    def __init__(self, folder, upstream_port, core, accord=None):
        self.folder = folder
        self.upstream_port = upstream_port
        self.core = core
        self.accord = accord
        self.wrap = []        # a command in front: valgrind, strace
        self.env = {}         # additions to the environment
        self.started = 0

    def file(self, name):
        self.started += 1
        return os.path.join(self.folder, f"{self.started:03d}-{name}")

    def run(self, command, **options):
        # Keys of providers in the environment would become providers of Accord's.
        env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR")
               if name in os.environ}
        env.update(self.env)
        return procs.start(self.wrap + command, self.core, env=env, **options)


def start_direct(context):
    return Running("direct", None, context.upstream_port, [])


def start_l4(context):
    process = context.run([build.path("l4pump"), "--target",
                           f"127.0.0.1:{context.upstream_port}"], stdout=subprocess.PIPE, text=True)
    port = json.loads(process.stdout.readline())["port"]
    return Running("l4", process, port, [process.pid])


NGINX = """
daemon off;
master_process {master};
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.err;
{user}
events {{ worker_connections 19000; }}
http {{
    {log}
    keepalive_timeout 3600s;
    keepalive_requests 1000000000;
    client_max_body_size 128m;
    client_body_buffer_size 2m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream mock {{
        server 127.0.0.1:{upstream};
        keepalive 6000;
        keepalive_requests 1000000000;
        keepalive_timeout 3600s;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=8192;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
    server {{
        listen 127.0.0.1:{stream_port} backlog=8192;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


def _worker_of(process):
    """nginx listens before it has a worker."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        pids = procs.children(process.pid)
        if pids:
            return pids
        time.sleep(0.01)
    raise BenchError("nginx has no worker")


def _start_nginx(context, name, with_log):
    folder = context.file(name)
    os.mkdir(folder)
    port, stream_port = procs.free_port(), procs.free_port()
    # Under valgrind one process is easier to count; it serves the same way.
    master = "off" if context.wrap else "on"
    log = f"access_log {folder}/access.log combined;" if with_log else "access_log off;"
    user = "user root;" if os.geteuid() == 0 else ""
    config = os.path.join(folder, "nginx.conf")
    with open(config, "w") as f:
        f.write(NGINX.format(folder=folder, port=port, stream_port=stream_port, log=log, user=user,
                             master=master, upstream=context.upstream_port))
    process = context.run(["nginx", "-c", config, "-e", f"{folder}/nginx.err"])
    procs.wait_for_port(port, process, 60)
    pids = [process.pid] if context.wrap else _worker_of(process)
    return Running(name, process, port, pids, stream_port)


def start_nginx(context):
    return _start_nginx(context, "nginx", False)


def start_nginx_log(context):
    return _start_nginx(context, "nginx_log", True)


HAPROXY = """
global
    maxconn 9000
    nbthread 1
defaults
    mode http
    option http-keep-alive
    option http-no-delay
    http-reuse always
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
frontend clients
    bind 127.0.0.1:{port}
    default_backend mock
backend mock
    server mock 127.0.0.1:{upstream} pool-max-conn 6000
"""


def start_haproxy(context):
    port = procs.free_port()
    config = context.file("haproxy.cfg")
    with open(config, "w") as f:
        f.write(HAPROXY.format(port=port, upstream=context.upstream_port))
    process = context.run(["haproxy", "-db", "-f", config], stderr=subprocess.DEVNULL)
    procs.wait_for_port(port, process, 60)
    return Running("haproxy", process, port, [process.pid])


# The ledger is other threads' work, whose figures are those of the program `ledger`; --ledger has it on.
KEEP_DAYS = 0

ACCORD = """\
listen: 127.0.0.1:{port}
data: {folder}/data
workers: {workers}
access_log: {folder}/access.log
ledger: {{keep_days: {keep_days}}}
providers:
  - id: mock
    dialect: openai
    base_url: http://127.0.0.1:{upstream}/v1
    credential: {upstream_key}
    allow_private_address: true
  - id: mocka
    dialect: anthropic
    base_url: http://127.0.0.1:{upstream}
    credential: {upstream_key}
    allow_private_address: true
models:
  - id: {alias}
    targets:
      - {{provider: mock, model: {upstream_model}}}
  - id: {translated}
    targets:
      - {{provider: mocka, model: {upstream_model}}}
  - id: {limited}
    targets:
      - {{provider: mock, model: {upstream_model}, price: {{input: 2.5, output: 10}}}}
{more_models}keys:
  - id: bench
    secret: {key}
    models: ["*"]
  - id: limited
    secret: {limited_key}
    models: ["*"]
  - id: cached
    secret: {cached_key}
    models: ["*"]
{more_keys}policies:
  - id: cache
    applies_to: {{key: cached}}
    cache: {{ttl_s: 86400}}
  - id: of-key
    applies_to: {{key: limited}}
    limits:
      - {{what: requests, at_most: 9999999, per: minute}}
      - {{what: tokens, at_most: 999999999, per: minute}}
      - {{what: requests, at_most: 99999999, per: day}}
    budgets:
      - {{usd: 1000000, per: month, time_zone: America/Toronto}}
  - id: of-model
    applies_to: {{model: {limited}}}
    limits:
      - {{what: tokens, at_most: 9999999999, per: hour}}
{more_policies}"""


class More:
    """What a program has beyond the usual configuration: YAML below models, keys and policies; secrets of keys in its
    key file, as `accord key create` would have made them."""

    def __init__(self, models="", keys="", policies="", secrets=(), keep_days=None, env=None):
        self.models, self.keys, self.policies, self.secrets = models, keys, policies, secrets
        self.keep_days, self.env = keep_days, env or {}

    def write_keys(self, folder):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with open(os.path.join(folder, "keys.jsonl"), "w") as f:
            for i, secret in enumerate(self.secrets):
                digest = hashlib.blake2b(secret.encode(), digest_size=32).hexdigest()
                f.write(f'{{"id":"k{i}","digest":"{digest}","models":["*"],"created_at":"2026-11-28T00:00:00Z"}}\n')


def accord_command(context, folder, port=0, workers=1, more=More()):
    """Writes a configuration into folder and returns the command that serves it."""
    os.makedirs(folder, exist_ok=True)
    config = os.path.join(folder, "accord.yaml")
    with open(config, "w") as f:
        f.write(ACCORD.format(folder=folder, port=port, more_models=more.models, more_keys=more.keys, more_policies=more.policies,
                              keep_days=KEEP_DAYS if more.keep_days is None else more.keep_days, workers=workers, alias=ALIAS,
                              translated=TRANSLATED,
                              limited=LIMITED, limited_key=LIMITED_KEY, cached_key=CACHED_KEY, key=KEY, upstream=context.upstream_port,
                              upstream_model=UPSTREAM_MODEL, upstream_key=UPSTREAM_KEY))
    return [context.accord, "serve", "-c", config, "--json"]


def start_accord(context, workers=1, more=More()):
    folder = context.file("accord")
    command = accord_command(context, folder, workers=workers, more=more)
    if more.secrets:
        more.write_keys(os.path.join(folder, "data"))
    usual, context.env = context.env, {**context.env, **more.env}
    errors = open(os.path.join(folder, "stderr"), "w+")
    process = context.run(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    context.env = usual
    line = process.stdout.readline()
    if not line:
        procs.stop(process)
        errors.seek(0)
        raise BenchError(f"accord did not start: {errors.read().strip()}")
    address = json.loads(line)["address"]
    port = int(address.rsplit(":", 1)[1])
    return Running("accord", process, port, [process.pid], folder=folder, splices=True,
                   access_log=os.path.join(folder, "access.log"))


# name: (how to start it, the command it needs, what it stands for)
PROGRAMS = {
    "direct": (start_direct, None, "no proxy at all (latency only)"),
    "l4": (start_l4, None, "L4 byte pump, epoll: the floor"),
    "nginx": (start_nginx, "nginx", "proxy_pass, keep-alive upstream, no log"),
    "nginx_log": (start_nginx_log, "nginx", "the same with its access log"),
    "haproxy": (start_haproxy, "haproxy", "option http-no-delay"),
    "accord": (start_accord, None, "key, routing, metering, metrics and access log on"),
}


def available(accord):
    """Names of the programs that can be started here, and why the others cannot."""
    names, missing = [], {}
    for name, (_, needs, _) in PROGRAMS.items():
        if name == "accord" and not (accord and os.access(accord, os.X_OK)):
            missing[name] = f"{accord} is no program: build it, or say --accord PATH"
        elif needs and not shutil.which(needs):
            missing[name] = f"{needs} is not installed"
        else:
            names.append(name)
    return names, missing


def start(name, context):
    return PROGRAMS[name][0](context)
