#!/usr/bin/env bash
# Live clients: how fast events are delivered to many of them, and how much memory each takes.
# Loopback only; stops by itself.
#
#   benches/live.sh    5,000 subscribers; then 1,000 with events as fast as possible, and 1,000 with
#                      10 events per second
#
# MERCATO is the server to measure and BENCH the measuring program; by default, both are built.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${MERCATO:-}" ]; then
    cargo build --release --quiet
    MERCATO=target/release/mercato
fi
if [ -z "${BENCH:-}" ]; then
    BENCH=$(cargo bench --no-run --bench live --message-format=json 2>/dev/null |
        sed -n 's/.*"executable":"\([^"]*live-[^"]*\)".*/\1/p' | tail -n 1)
fi
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
dir=$(mktemp -d)
port=${PORT:-18765}
# All subscribers have the same address.
export MAX_CONNECTIONS_PER_ADDRESS=10000 WS_MAX_SOCKETS_ANONYMOUS=10000 WS_MAX_BYTES_ANONYMOUS=1000000000
export RATE_LIMIT_ANONYMOUS=off
RUST_LOG=warn "$MERCATO" --database-url "${DATABASE_URL:-sqlite://$dir/shop.db}" serve --demo --port "$port" --no-jobs 2>"$dir/log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT
for _ in $(seq 200); do
    curl -sf "http://127.0.0.1:$port/health" >/dev/null && break
    sleep 0.1
done
key=$(sed -n 's/.*Bearer \(mk_[^ ]*\).*/\1/p' "$dir/log" | head -n 1)
address=127.0.0.1:$port

resident() { awk '/^VmRSS/ { print $2 }' "/proc/$server/status"; }

before=$(resident)
"$BENCH" "$address" "$key" 5000 20 2 &
measuring=$!
sleep 9
during=$(resident)
wait "$measuring"
echo "memory: $(((during - before) / 5000)) kB a subscriber ($before kB before, $during kB with 5,000)"
"$BENCH" "$address" "$key" 1000 600
"$BENCH" "$address" "$key" 1000 100 10
