#!/usr/bin/env bash
# How long the most expensive searches that a stranger may send take, in a shop of many products, one at a time.
#
#   benches/search.sh [PRODUCTS]                                      an SQLite shop
#   DATABASE_URL=postgres://… benches/search.sh [PRODUCTS]            a shop in an empty PostgreSQL database
#
# Every product has the word `common`, and the rest of its words from a vocabulary in which few are frequent. Needs python3. The
# server is the release build (or $MERCATO); it listens on loopback and ends with the script.
set -euo pipefail
cd "$(dirname "$0")/.."
products=${1:-100000}
mercato=${MERCATO:-target/release/mercato}
work=$(mktemp -d)
export DATABASE_URL=${DATABASE_URL:-sqlite://$work/shop.db} PORT=${PORT:-8701} RUST_LOG=${RUST_LOG:-warn}
export RATE_LIMIT_ANONYMOUS=off
export JWT_SECRET=${JWT_SECRET:-a-secret-of-benchmarks-that-is-long-enough}
python3 - "$products" >"$work/products.csv" <<'PYTHON'
import itertools, random, sys
random.seed(7)
syllables = [a + b for a in "bcdfghklmnprst" for b in "aeiou"]
vocabulary = ["new", "the", "with", "shop"] + ["".join(random.choices(syllables, k=random.randint(2, 4))) for _ in range(6000)]
weights = list(itertools.accumulate(1 / (n + 1) for n in range(len(vocabulary))))
words = lambda n: " ".join(random.choices(vocabulary, cum_weights=weights, k=n))
print("Handle,Title,Body (HTML),Vendor,Type,Tags,Option1 Name,Option1 Value,Variant SKU,Variant Price")
for i in range(int(sys.argv[1])):
    tags = " ".join(f"tag{n:03}" for n in random.sample(range(200), 3)).replace(" ", ", ")
    price = random.randint(100, 100000)
    print(f'product-{i},common {words(4)},{words(30)},vendor{i % 50:02},type{i % 20:02},"{tags}",Size,S,SKU-{i}-S,{price / 100}')
    print(f"product-{i},,,,,,,L,SKU-{i}-L,{price / 100 + 1}")
PYTHON
"$mercato" import products "$work/products.csv"
"$mercato" serve >"$work/log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true; rm -rf "$work"' EXIT
python3 - "$PORT" <<'PYTHON'
import http.client, json, sys, time
for _ in range(100):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
        connection.connect()
        break
    except OSError:
        time.sleep(0.1)
PAGE = "query($q: String, $s: ProductSortKeys!, $after: String) { products(first: 250, query: $q, sortKey: $s, after: $after) { nodes { id title } pageInfo { endCursor } } }"
def send(query, sort, after=None):
    body = json.dumps({"query": PAGE, "variables": {"q": query, "s": sort, "after": after}})
    started = time.perf_counter()
    connection.request("POST", "/graphql", body, {"content-type": "application/json"})
    answer = json.load(connection.getresponse())
    return (time.perf_counter() - started) * 1000, answer
prefixes = " OR ".join(p + "*" for p in ["ba", "be", "co", "di"])
frequent = "common new the with shop " + prefixes.replace(" OR ", " ")
queries = [
    (None, ["TITLE", "PRICE", "ID", "BEST_SELLING"]),
    ("common", ["RELEVANCE", "TITLE", "PRICE"]),
    ("-common", ["TITLE", "ID"]),
    (prefixes, ["RELEVANCE", "TITLE", "PRICE"]),
    (frequent, ["RELEVANCE", "TITLE"]),
    (frequent + " common new the with shop common new", ["RELEVANCE"]),
    (" OR ".join(("common new the with shop " * 3).split()), ["RELEVANCE", "PRICE"]),
    ('"common new" OR "the with"', ["RELEVANCE", "TITLE"]),
    ("common tag:nothing", ["RELEVANCE", "TITLE"]),
    ("nothing", ["RELEVANCE", "TITLE"]),
    ("tag:nothing", ["TITLE", "PRICE"]),
    ("tag_not:*", ["TITLE", "ID"]),
    ("tag:tag001", ["TITLE", "PRICE"]),
    ("tag:tag*", ["TITLE", "PRICE"]),
    ("sku:sku* barcode:00*", ["TITLE", "PRICE"]),
    ("vendor:nobody*", ["TITLE", "PRICE"]),
    ("vendor:vendor*", ["TITLE", "PRICE"]),
    ("price:>0 OR price:<9999", ["TITLE", "PRICE"]),
    ("price:>99999999", ["TITLE", "PRICE", "ID"]),
    ("available_for_sale:true", ["TITLE"]),
    ("available_for_sale:false", ["TITLE", "ID"]),
    ("available_for_sale:false -tag:* price:>1", ["TITLE", "PRICE", "ID"]),
]
print(f"{'ms':>8} {'2nd page':>9} {'found':>6}  query, sort key")
for query, sorts in queries:
    for sort in sorts:
        times = [send(query, sort) for _ in range(4)][1:]
        best, answer = min(times, key=lambda one: one[0])
        if "errors" in answer:
            print(f"{best:8.1f} {'':9} {'':6}  {query}, {sort}: {answer['errors'][0]['message']}")
            continue
        page = answer["data"]["products"]
        second = send(query, sort, page["pageInfo"]["endCursor"])[0] if len(page["nodes"]) == 250 else float("nan")
        print(f"{best:8.1f} {second:9.1f} {len(page['nodes']):6}  {query}, {sort}")
PYTHON
