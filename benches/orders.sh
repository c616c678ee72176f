#!/usr/bin/env bash
# Throughput of `orderPlace` over HTTP, with the load generator on the same machine: 32 clients
# place orders, each from its own cart with two lines, shipped to an address and paid through the
# test provider.
#
#   benches/orders.sh sqlite [SECONDS]      an SQLite shop
#   benches/orders.sh postgres [SECONDS]    a private PostgreSQL server with synchronous_commit off,
#                                           stopped when the script ends; or, if DATABASE_URL is
#                                           set, that database, which must be empty
#
# Carts are created for SECONDS (10 by default), and then ordered for the same time, once each.
# Needs wrk, curl and python3, and for PostgreSQL its binaries. The server is the release build, or
# the one at $MERCATO; everything listens on loopback and stops when the script ends.
set -euo pipefail
cd "$(dirname "$0")/.."
backend=${1:-sqlite} seconds=${2:-10}
mercato=${MERCATO:-target/release/mercato}
. benches/work.sh

case $backend in
sqlite) export DATABASE_URL=sqlite://$work/shop.db ;;
postgres)
    if [ -z "${DATABASE_URL:-}" ]; then
        . benches/postgres.sh
        start_postgres -c synchronous_commit=off
        export DATABASE_URL=postgres://mercato@127.0.0.1:$port/shop
    fi
    ;;
*) echo "usage: benches/orders.sh sqlite|postgres [SECONDS]" >&2 && exit 2 ;;
esac

# 200 products with the same price and weight, so that all carts have the same total, and with more
# stock than is ever ordered.
python3 - "$work/products.csv" <<'PYTHON'
import csv, sys
with open(sys.argv[1], "w", newline="") as f:
    out = csv.writer(f)
    out.writerow(["Handle", "Title", "Status", "Variant SKU", "Variant Price", "Variant Grams", "Variant Inventory Tracker",
                  "Variant Inventory Qty", "Variant Inventory Policy", "Variant Requires Shipping", "Variant Taxable"])
    for n in range(200):
        out.writerow([f"thing-{n}", f"Thing {n}", "active", f"T{n}", "4.50", "200", "shopify", 1000000, "deny", "true", "true"])
PYTHON
"$mercato" import products "$work/products.csv" >/dev/null
export PORT=${PORT:-8700} RUST_LOG=${RUST_LOG:-warn} PAYMENT_PROVIDERS=test
# All requests come from the same address.
export GUEST_CARTS_PER_HOUR=10000000 RATE_LIMIT_ANONYMOUS=off
"$mercato" serve >"$work/log" 2>&1 &
pids+=($!)
url=http://127.0.0.1:$PORT
curl -s --retry 50 --retry-delay 0 --retry-connrefused -o /dev/null "$url/health"

python3 - "$url" "$work" <<'PYTHON'
import json, sys, urllib.request
url, work = sys.argv[1:]
def send(query, variables):
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(url + "/graphql", body, {"content-type": "application/json"})
    answer = json.load(urllib.request.urlopen(request))
    assert "errors" not in answer, answer
    return answer["data"]
products = send("{ products(first: 200) { nodes { variants(first: 1) { nodes { id } } } } }", {})["products"]["nodes"]
variants = [product["variants"]["nodes"][0]["id"] for product in products]
create = "mutation($input: CartInput!) { cartCreate(input: $input) { cart { id } userErrors { message } } }"
place = """mutation($input: OrderPlaceInput!) {
    orderPlace(input: $input, idempotencyKey: "once") { order { id name status } token userErrors { field message code } }
}"""
def lines(one, two):
    return [{"merchandiseId": variants[n % len(variants)], "quantity": 1} for n in (one, two)]
def order(cart, total):
    return {"cartId": cart, "email": "ada@example.com", "deliveryOptionHandle": "standard", "expectedTotal": total,
            "shippingAddress": {"address1": "1 Main St", "city": "Springfield", "zip": "12345", "country": "US"},
            "payment": {"provider": "test", "token": "tok_ok"}}
# The error for a wrong total states the right one, delivery included.
cart = send(create, {"input": {"lines": lines(0, 1)}})["cartCreate"]["cart"]["id"]
refused = send(place, {"input": order(cart, "0")})["orderPlace"]["userErrors"]
total = next(error["message"].split()[3] for error in refused if error["code"] == "STALE")
placed = send(place, {"input": order(cart, total)})["orderPlace"]
assert placed["order"]["status"] == "PAID", placed
head = 'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
def lua(name, text):
    with open(f"{work}/{name}.lua", "w") as f:
        f.write(head + text)
carts = [json.dumps({"query": create, "variables": {"input": {"lines": lines(7 * n, 7 * n + 3)}}}) for n in range(len(variants))]
lua("carts", f"""
local bodies = {{ {", ".join(json.dumps(body) for body in carts)} }}
local sent, file = 0, io.open("{work}/carts", "w")
function request()
    sent = sent + 1
    return wrk.format(nil, nil, nil, bodies[sent % #bodies + 1])
end
function response(status, headers, body)
    local id = body:match('"id":"(gid://mercato/Cart/[^"]+)"')
    if id then
        file:write(id, "\\n")
        file:flush()
    end
end
""")
body = json.dumps({"query": place, "variables": {"input": order("CART", total)}})
lua("orders", f"""
-- wrk runs for its full duration even if no carts are left, so the time from the first to the last order is measured here.
local ffi = require("ffi")
ffi.cdef "typedef struct {{ long seconds, micros; }} moment; int gettimeofday(moment *now, void *zone);"
local clock = ffi.new("moment")
local function now()
    ffi.C.gettimeofday(clock, nil)
    return tonumber(clock.seconds) + tonumber(clock.micros) / 1e6
end
local before, after = {json.dumps(body.split("CART")[0])}, {json.dumps(body.split("CART")[1])}
local carts = io.lines("{work}/carts")
threads = {{}}
placed, refused, why, first, last = 0, 0, "", 0, 0
function setup(thread) table.insert(threads, thread) end
function request()
    local cart = carts()
    if first == 0 then first = now() end
    if not cart then wrk.thread:stop(); return wrk.format(nil, nil, nil, "{{}}") end
    return wrk.format(nil, nil, nil, before .. cart .. after)
end
function response(status, headers, body)
    if body:find('"status":"PAID"', 1, true) then placed = placed + 1; last = now()
    elseif refused < 1000 and not body:find("BAD_USER_INPUT", 1, true) then refused = refused + 1; why = body:sub(1, 300) end
end
function done(summary, latency, requests)
    for _, thread in ipairs(threads) do
        local placed, seconds = thread:get("placed"), thread:get("last") - thread:get("first")
        io.write(string.format("orders: %d placed in %.1f s, %.0f a second\\n", placed, seconds, placed / seconds))
        if thread:get("refused") > 0 then io.write("not placed: ", thread:get("refused"), ", such as ", thread:get("why"), "\\n") end
    end
end
""")
PYTHON

wrk -t1 -c32 -d"$seconds" --timeout 30 -s "$work/carts.lua" "$url/graphql" >/dev/null
echo "$backend: $(wc -l <"$work/carts") carts"
# CPU time used by the server and the local PostgreSQL, if there is one, in ticks of 10 ms.
ticks() {
    for pid in "${pids[@]}" $(pgrep -x postgres || true); do awk '{ print $14 + $15 }' "/proc/$pid/stat" 2>/dev/null || true; done |
        awk '{ sum += $1 } END { print sum }'
}
before=$(ticks)
wrk -t1 -c32 -d"$seconds" --timeout 30 --latency -s "$work/orders.lua" "$url/graphql" | tee "$work/wrk"
after=$(ticks)
awk -v ticks=$((after - before)) '/^orders:/ { printf "CPU: %.3f ms an order, server and database together\n", ticks * 10 / $2 }' "$work/wrk"
