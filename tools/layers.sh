#!/bin/sh
# A folder of src/ is a layer: a file may include headers of its own folder and of folders above
# it in this list, never below. Prints each include that breaks the rule and fails if there is one.
#
#   tools/layers.sh [SOURCE-DIRECTORY]
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
source=${1:-$root/src}
order='base json net http conflict store model auth dialect apidoc policy ledger gateway platform cli'

list=$(mktemp)
trap 'rm -f "$list"' EXIT
find "$source" -name '*.[ch]' -type f | sort >"$list"
if [ ! -s "$list" ]; then
    printf 'layers: no source in %s\n' "$source" >&2
    exit 1
fi

# shellcheck disable=SC2016  # awk's own variables
xargs awk -v source="$source/" -v order="$order" '
    BEGIN {
        count = split(order, names, " ")
        for (i = 1; i <= count; i++) {
            rank[names[i]] = i
        }
        # No sockets: spans and numbers in, spans and numbers out.
        pure["json"] = pure["conflict"] = pure["dialect"] = pure["apidoc"] = pure["policy"] = 1
    }
    function broken(why) {
        printf "%s:%d: %s\n", FILENAME, FNR, why
        bad++
    }
    FNR == 1 {
        path = substr(FILENAME, length(source) + 1)
        # main.c stands beside the folders and may include them all.
        layer = index(path, "/") ? substr(path, 1, index(path, "/") - 1) : ""
        mine = count + 1
        if (layer in rank) {
            mine = rank[layer]
        } else if (layer != "") {
            broken("the folder " layer "/ is not in the list of layers")
        }
    }
    /^[ \t]*#[ \t]*include[ \t]*"/ {
        name = $0
        sub(/^[^"]*"/, "", name)
        sub(/".*$/, "", name)
        if (name ~ /\.\.\//) {
            broken("includes \"" name "\": name headers from src/, without ../")
            next
        }
        other = index(name, "/") ? substr(name, 1, index(name, "/") - 1) : layer
        if (other in rank && rank[other] > mine) {
            broken(layer "/ includes \"" name "\" of " other "/, which is below it")
        }
        if ((layer in pure) && other == "net") {
            broken(layer "/ includes \"" name "\": this layer has no sockets")
        }
        next
    }
    /^[ \t]*#[ \t]*include[ \t]*</ {
        name = $0
        sub(/^[^<]*</, "", name)
        sub(/>.*$/, "", name)
        if (name ~ /^uv(\/|\.h)/ && layer != "net") {
            broken((layer == "" ? "main.c" : layer "/") " includes <" name ">: only net/ knows libuv")
        }
        if (layer in pure && name ~ /^(sys\/(socket|epoll)|netinet\/|arpa\/|netdb|openssl\/ssl)/) {
            broken(layer "/ includes <" name ">: this layer has no sockets")
        }
    }
    END {
        exit bad ? 1 : 0
    }
' <"$list"
