#!/bin/sh
# Installs what the build and the demo need besides Rust, if it is missing: a linker, and a Postgres server with wal2json. No server has to run;
# the tests and the demo start their own. With `tests` also what only tests need: Python with venv, Node 20 or newer with npm, Chromium,
# libfaketime and valgrind.
# On systems without apt-get it only says what to install.
set -eu

missing=

# ring has parts in C, and Rust links with the C compiler.
command -v cc >/dev/null || missing=" gcc libc6-dev"

has_browser() {
    command -v chromium || command -v chromium-browser || command -v google-chrome || command -v google-chrome-stable
}

if [ "${1:-}" = tests ]; then
    # Debian splits them: without ensurepip a venv has no pip.
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
    command -v npm >/dev/null || missing="$missing nodejs npm"
    has_browser >/dev/null || missing="$missing chromium"
    # Counts instructions.
    command -v valgrind >/dev/null || missing="$missing valgrind"
    # A clock that goes backwards for one process.
    ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || missing="$missing libfaketime"
fi

# The newest server on this machine; the plugin must be for that one.
major=$(ls /usr/lib/postgresql 2>/dev/null | sort -rn | while read -r version; do
    if [ -x "/usr/lib/postgresql/$version/bin/postgres" ]; then echo "$version"; break; fi
done)

# Any server will do that has the plugin, wherever it comes from.
has_plugin() {
    ls /usr/lib/postgresql/*/lib/wal2json.so >/dev/null 2>&1 && return
    postgres=$(command -v postgres) || return
    libraries=$("$(dirname "$(readlink -f "$postgres")")/pg_config" --pkglibdir) || return
    ls "$libraries"/wal2json.* >/dev/null 2>&1
}

has_plugin || missing="$missing postgresql-${major:-NN}-wal2json"
[ "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "missing:$missing; please install that, or what your system calls it" >&2
    exit 1
fi

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null

# Without a server, the one that the distribution prefers, which the plugin's package brings along.
default=$(apt-cache depends postgresql | sed -n 's/^ *Depends: postgresql-\([0-9][0-9]*\)$/\1/p' | head -n 1)
packages=$(echo "$missing" | sed "s/NN/$default/")

echo "installing:$packages"

# shellcheck disable=SC2086 # one argument a package
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages </dev/null
