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

work=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill -INT "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT

database=()
if [ "$backend" = postgres ]; then
    start_postgres
    database=(--database "postgres://mercato@127.0.0.1:$port/shop")
fi

PYTHONDONTWRITEBYTECODE=1 python3 "$root/benches/search.py" "$mercato" "$work" "${database[@]}" "$@"
