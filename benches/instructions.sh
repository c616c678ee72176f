#!/usr/bin/env bash
# How many instructions a request takes, relative to a server without a database (`hello.rs`) that is
# counted in the same run, on SQLite and PostgreSQL, with caches and without. Fails if a ratio is 15 %
# higher than in instructions.json. Unlike times, counts hardly depend on the machine and on what
# else runs. They are those of debug builds, and without PostgreSQL's own, whose statements are
# counted by tests.
#
#   benches/instructions.sh [--record]    --record: stores the ratios
#
# $MERCATO and $HELLO can name debug builds to use. Needs valgrind, python3 and the binaries of
# PostgreSQL. Everything listens on loopback and stops when the script ends, after a few minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/work.sh
build=(cargo build --locked --quiet --message-format json)
mercato=${MERCATO:-$("${build[@]}" --bin mercato | executable)}
hello=${HELLO:-$("${build[@]}" --bench hello | executable)}

# Valgrind would read the debug information, which it does not need here.
mkdir "$work/bin"
strip --strip-debug -o "$work/bin/mercato" "$mercato"
strip --strip-debug -o "$work/bin/hello" "$hello"
. benches/postgres.sh
start_postgres -c synchronous_commit=off -c jit=off
PYTHONDONTWRITEBYTECODE=1 python3 benches/instructions.py "$work" --mercato "$work/bin/mercato" --hello "$work/bin/hello" --postgres "$port" \
    --stored benches/instructions.json "$@"
