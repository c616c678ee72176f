#!/usr/bin/env bash
# Rolling restarts under load: two nodes on one database, behind a balancer, are restarted in turn
# by SIGTERM, a hundred times, while clients send 500 requests per second and subscribers follow the
# event log. Prints a table, and fails if any request fails or an event is lost: see restarts.py.
#
#   benches/restarts.sh [postgres|sqlite] [MERCATO] [OPTIONS]
#
#   --restarts N     how often a node is restarted (default 100), one after the other
#   --rate N         requests per second (default 500)
#   --delay N        SHUTDOWN_DELAY of the nodes, in seconds (default 2)
#   --products N     size of the catalog (default 1000)
#   --signal KILL    kills the nodes instead, to see that the benchmark can fail
#
# MERCATO is the server; by default, a release build is made. On PostgreSQL, the nodes also share a
# Redis server, if one is installed. The balancer and the load are Python processes with a high
# priority, if the system permits that; at 500 requests per second, each takes about a sixth of a
# processor. Everything listens on loopback and stops when the script ends, after about ten minutes.
# Needs python3, and for PostgreSQL its binaries. WORK=FOLDER keeps the logs there.
set -euo pipefail
backend=postgres
. "$(dirname "$0")/program.sh"

start_database
shared=("${database[@]}")
if [ "$backend" = postgres ] && command -v redis-server >/dev/null; then
    redis=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    redis-server --port "$redis" --bind 127.0.0.1 --save '' --appendonly no --dir "$work" >"$work/redis.log" 2>&1 &
    pids+=($!)
    shared+=(--redis "redis://127.0.0.1:$redis/")
fi
run_program restarts.py "$mercato" "$work" "${shared[@]}" "$@"
