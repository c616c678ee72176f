#!/usr/bin/env bash
# What strangers can do to a server that honest clients use: every attack known, beside a normal load of 200 requests per second, and
# a table of what the clients noticed. It fails when they notice too much: see hostile.py.
#
#   benches/hostile.sh [sqlite|postgres] [MERCATO] [OPTIONS]
#
#   --rows C1,H4     only the rows whose names begin so
#   --seconds N      how long each attack takes: 6
#   --quick          shorter attacks on fewer products, and no waiting for the server's timeouts
#   --rate N, --products N    the normal load, and the catalogue: 200, 6000
#
# MERCATO is the server; without it the release build is made. Everything listens on loopback and ends with the script; a whole run
# takes about a quarter of an hour. Needs python3, and for PostgreSQL its binaries. WORK=FOLDER keeps the server's log.
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

work=${WORK:-$(mktemp -d)}
mkdir -p "$work" && work=$(realpath "$work")
pids=()
finish() {
    for pid in "${pids[@]}"; do kill -INT "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
    [ -n "${WORK:-}" ] || rm -rf "$work"
}
trap finish EXIT

database=()
if [ "$backend" = postgres ]; then
    PATH=$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' '\n' | tail -1)
    # PostgreSQL refuses to run as root.
    as=() && [ "$(id -u)" -ne 0 ] || as=(runuser -u postgres --)
    pg=$(mktemp -d /tmp/hostile-pg.XXXXXX)
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

PYTHONDONTWRITEBYTECODE=1 python3 "$root/benches/hostile.py" "$mercato" "$work/shop" "${database[@]}" "$@" &
bench=$!
# A signal interrupts `wait` at once, and a command in the foreground only when it ends.
trap 'kill "$bench" 2>/dev/null; wait "$bench" || true; exit 143' TERM INT
wait "$bench"
