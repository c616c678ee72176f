#!/usr/bin/env bash
# The effect of attacks on honest clients: runs every known attack beside a normal load of 200
# requests per second, and prints a table of what the honest clients noticed. Fails if they notice
# too much: see hostile.py.
#
#   benches/hostile.sh [sqlite|postgres] [MERCATO] [OPTIONS]
#
#   --rows C1,H4     only the rows whose names have these prefixes
#   --seconds N      duration of each attack (default 6)
#   --quick          shorter attacks, fewer products, and no waiting for the server's timeouts
#   --rate N, --products N    the normal load and the size of the catalog (defaults 200 and 6000)
#
# MERCATO is the server; by default, a release build is made. Everything listens on loopback and
# stops when the script ends. A full run takes about 15 minutes. Needs python3, and for PostgreSQL
# its binaries. WORK=FOLDER keeps the server's log there.
set -euo pipefail
root=$(realpath "$(dirname "$0")/..")
. "$root/benches/postgres.sh"
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
    start_postgres
    database=(--database "postgres://mercato@127.0.0.1:$port/shop")
fi

PYTHONDONTWRITEBYTECODE=1 python3 "$root/benches/hostile.py" "$mercato" "$work/shop" "${database[@]}" "$@" &
bench=$!
# A signal interrupts `wait` immediately, but a command in the foreground only when it ends.
trap 'kill "$bench" 2>/dev/null; wait "$bench" || true; exit 143' TERM INT
wait "$bench"
