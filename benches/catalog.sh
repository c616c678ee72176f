#!/usr/bin/env bash
# Throughput of a catalog page (20 products with variants, prices, stock and collections) and the
# CPU time it takes, server and database together, with the load generator on the same machine.
#
#   benches/catalog.sh FILE.csv [SECONDS]                              an SQLite shop
#   DATABASE_URL=postgres://… benches/catalog.sh FILE.csv [SECONDS]    an empty PostgreSQL database
#
# First all clients request the same page; then they request all pages of the catalog in turn, so
# that no two concurrent requests are for the same page. Both first with every response computed
# from the database, and then with responses from memory. FILE.csv is a product CSV. Needs wrk, curl
# and python3. The server is the release build, or the one at $MERCATO; it listens on loopback and
# stops when the script ends.
set -euo pipefail
cd "$(dirname "$0")/.."
file=$(realpath "$1") seconds=${2:-10}
mercato=${MERCATO:-target/release/mercato}
work=$(mktemp -d)
export DATABASE_URL=${DATABASE_URL:-sqlite://$work/shop.db} PORT=${PORT:-8700} RUST_LOG=${RUST_LOG:-info}
"$mercato" import products "$file"
key=$("$mercato" apikey create --name benchmark --permissions all)
# Set explicitly, so that the server does not store one in a file.
export JWT_SECRET=${JWT_SECRET:-a-secret-of-benchmarks-that-is-long-enough}
# All requests come from the same address.
export RATE_LIMIT_ANONYMOUS=off
url=http://127.0.0.1:$PORT
server=
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true; rm -rf "$work"' EXIT

# Starts the server with a cache of responses of so many bytes.
start() {
    RESPONSE_CACHE_BYTES=$1 "$mercato" serve >"$work/log" 2>&1 &
    server=$!
    curl -s --retry 50 --retry-delay 0 --retry-connrefused -o /dev/null "$url/health"
}

start 0
python3 - "$url" "$work" "$key" <<'PYTHON'
import json, sys, urllib.request
url, work, key = sys.argv[1:]
def send(query, variables):
    body = json.dumps({"query": query, "variables": variables}).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer " + key}
    return json.load(urllib.request.urlopen(urllib.request.Request(url + "/graphql", body, headers)))
# Five collections, so that products belong to some.
create = "mutation($c: CollectionCreateInput!) { collectionCreate(collection: $c) { userErrors { message } } }"
for title, column, relation, condition in [("Bags", "TYPE", "EQUALS", "Bag"), ("Under one", "VARIANT_PRICE", "LESS_THAN", "1"),
        ("Red", "TITLE", "CONTAINS", "red"), ("Sets", "TITLE", "STARTS_WITH", "set"), ("All", "VARIANT_PRICE", "GREATER_THAN", "0")]:
    rules = {"appliedDisjunctively": False, "rules": [{"column": column, "relation": relation, "condition": condition}]}
    send(create, {"c": {"title": title, "ruleSet": rules}})
page = open("benches/catalog_page.graphql").read()
bodies, after = [], None
while True:
    variables = {"first": 20, "after": after}
    bodies.append(json.dumps({"query": page, "variables": variables}))
    info = send(page, variables)["data"]["products"]["pageInfo"]
    if not info["hasNextPage"]:
        break
    after = info["endCursor"]
for name, selected in [("one", bodies[:1]), ("all", bodies)]:
    with open(f"{work}/{name}.lua", "w") as f:
        f.write('wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nlocal requests, at = {}, 0\n')
        f.write("function init()\n")
        for body in selected:
            f.write(f"  requests[#requests + 1] = wrk.format(nil, nil, nil, {json.dumps(body)})\n")
        f.write("end\nfunction request()\n  at = at % #requests + 1\n  return requests[at]\nend\n")
PYTHON

# CPU time used by the server and the local PostgreSQL, if there is one, in ticks of 10 ms.
ticks() {
    for pid in $server $(pgrep -x postgres || true); do awk '{ print $14 + $15 }' "/proc/$pid/stat" 2>/dev/null || true; done |
        awk '{ sum += $1 } END { print sum }'
}
measure() {
    wrk -t1 -c16 -d2 -s "$work/all.lua" "$url/graphql" >/dev/null
    for pages in one all; do
        before=$(ticks)
        wrk -t1 -c16 -d"$seconds" --latency -s "$work/$pages.lua" "$url/graphql" >"$work/wrk"
        after=$(ticks)
        printf '\n%s of the pages, from %s:\n' "$pages" "$1"
        grep -E "50%|99%|Requests/sec|Non-2xx" "$work/wrk"
        awk -v ticks=$((after - before)) '/requests in/ { printf "CPU: %.3f ms a request, server and database together\n", ticks * 10 / $1 }' "$work/wrk"
    done
    awk '/VmRSS/ { printf "\nmemory: %.0f MB resident\n", $2 / 1024 }' "/proc/$server/status"
}
measure "the database"
kill $server
wait $server || true
start $((256 * 1024 * 1024))
# A server answers from memory once it follows the event log.
sleep 1
measure memory
