#!/usr/bin/env bash
# The same work done by this version, another version, a Node server (Mercurius on PostgreSQL, from
# npm) and a server without a database (`hello.rs`): throughput, and CPU time of the server, its
# database and its background work together, on SQLite and PostgreSQL, with caches and without.
# Responses are compared with the catalog before anything is measured, and requests vary: 1,000
# products and orders, 50 pages.
#
#   benches/compare.sh [OPTIONS] [REVISION]    REVISION: by default, the previous commit
#
#   --rounds 3 --seconds 5 --products 10000 --backends sqlite,postgres
#   --workloads typename,product,page,order --caches both|on
#
# All are release builds. The other version is kept in target/compare. $MERCATO, $OTHER and $HELLO
# can name binaries to use instead. Needs wrk, python3, npm, and the binaries of PostgreSQL.
# Everything listens on loopback and stops when the script ends, after about a quarter of an hour.
set -euo pipefail
# A revision that can't be built must not be measured.
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
options=()
while [[ ${1:-} == --* ]]; do options+=("$1" "$2") && shift 2; done
kept=$PWD/target/compare
. benches/work.sh

# Builds the server of a revision, unless it is there. Prints its path.
build_revision() {
    local mercato
    mercato=$kept/$(git rev-parse --short "$1")/mercato
    if [ ! -x "$mercato" ]; then
        # An interrupted run leaves it behind.
        git worktree remove --force "$kept/source" 2>/dev/null || true
        git worktree add --quiet --force --detach "$kept/source" "$1"
        (cd "$kept/source" && CARGO_TARGET_DIR=$kept/build cargo build --release --locked --quiet)
        git worktree remove --force "$kept/source"
        install -D "$kept/build/release/mercato" "$mercato"
    fi
    echo "$mercato"
}
mercato=${MERCATO:-$(cargo build --release --locked --quiet --bin mercato --message-format json | executable)}
hello=${HELLO:-$(cargo bench --locked --quiet --bench hello --no-run --message-format json | executable)}
other=${OTHER:-$(build_revision "${1:-HEAD~1}")}
install -D -t "$kept/peer" benches/peer/*
npm install --prefix "$kept/peer" --no-package-lock --no-audit --no-fund --silent

. benches/postgres.sh
start_postgres -c synchronous_commit=off -c jit=off
PYTHONDONTWRITEBYTECODE=1 python3 benches/compare.py "$work" --server "this=$mercato" --server "other=$other" \
    --hello "$hello" --peer "$kept/peer" --postgres "$port" --postgres-pid "${pids[-1]}" "${options[@]}"
