#!/usr/bin/env bash
# How long the most expensive searches take that a stranger may send, and those that only staff may send, in a shop of many products,
# one at a time. It fails when half of the times of any of them are over 100 ms.
#
#   benches/search.sh [sqlite|postgres] [MERCATO] [OPTIONS]
#
#   --products N     the catalogue: 100000, each with two variants in stock and three tags
#   --times N        how often each search is sent: 20
#   --only WORD      only the searches that contain it
#   --shop FILE      an SQLite shop that is kept from one run to the next; made if there is none
#
# MERCATO is the server; without it the release build is made. Every product has the word `common` and all are of the vendor, type, price
# and tags that a search like `-tag:*` has to look at and throw away; the rest of their words are from a vocabulary in which few are
# frequent. p99 is told for its own sake: on a machine that does other things it tells of those. Everything listens on loopback and
# ends with the script. Needs python3, and for PostgreSQL its binaries.
set -euo pipefail
root=$(realpath "$(dirname "$0")/..")
backend=sqlite mercato=
case ${1:-} in
sqlite | postgres) backend=$1 && shift ;;
esac
case ${1:-} in
'' | -*) ;;
*) mercato=$(realpath "$1") && shift ;;
esac
if [ -z "$mercato" ]; then
    (cd "$root" && cargo build --release)
    mercato=$root/target/release/mercato
fi

work=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill -INT "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT

database=()
if [ "$backend" = postgres ]; then
    PATH=$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' '\n' | tail -1)
    # PostgreSQL refuses to run as root.
    as=() && [ "$(id -u)" -ne 0 ] || as=(runuser -u postgres --)
    pg=$(mktemp -d /tmp/search-pg.XXXXXX)
    trap 'finish; rm -rf "$pg"' EXIT
    [ "$(id -u)" -ne 0 ] || chown postgres "$pg"
    "${as[@]}" initdb -D "$pg/data" -U mercato -A trust -E UTF8 >/dev/null
    port=${PG_PORT:-$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}
    "${as[@]}" postgres -D "$pg/data" -k "$pg" -p "$port" -c listen_addresses=127.0.0.1 -c shared_buffers=256MB \
        -c max_wal_size=2GB >"$work/postgres.log" 2>&1 &
    pids+=($!)
    for _ in $(seq 100); do "${as[@]}" pg_isready -q -h 127.0.0.1 -p "$port" && break || sleep 0.1; done
    "${as[@]}" createdb -h 127.0.0.1 -p "$port" -U mercato shop
    database=(--database "postgres://mercato@127.0.0.1:$port/shop")
fi

PYTHONDONTWRITEBYTECODE=1 python3 "$root/benches/search.py" "$mercato" "$work" "${database[@]}" "$@"
