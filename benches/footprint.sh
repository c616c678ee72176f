#!/usr/bin/env bash
# How little a shop needs: startup time, memory when idle, and throughput of varied catalog queries,
# with 10,000 products on one processor and 512 MB of memory. Prints a table, and fails if a bound
# is exceeded: see footprint.py, which also says how the limits are enforced.
#
#   benches/footprint.sh [sqlite|postgres] [MERCATO] [OPTIONS]
#
#   --products N     size of the catalog (default 10000)
#   --seconds N      duration of each load (default 10)
#   --starts N       how often the startup is measured (default 20)
#
# MERCATO is the server; by default, a release build is made. PostgreSQL is not within the limits.
# Everything listens on loopback and stops when the script ends, after about two minutes. Needs
# python3 on Linux, and for PostgreSQL its binaries. WORK=FOLDER keeps the server's log there.
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

PYTHONDONTWRITEBYTECODE=1 python3 "$root/benches/footprint.py" "$mercato" "$work" "${database[@]}" "$@" &
bench=$!
# A signal interrupts `wait` immediately, but a command in the foreground only when it ends.
trap 'kill "$bench" 2>/dev/null; wait "$bench" || true; exit 143' TERM INT
wait "$bench"
