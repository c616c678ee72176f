"""Runs the measurements of search.sh: creates the shop, starts the server, sends each search many
times and prints a table.
"""

import argparse
import http.client
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

MAX_MEDIAN_MS = 100
# The server closes connections that are idle for longer.
MAX_IDLE_SECONDS = 5
# After a search of low priority, the server leaves PostgreSQL to others for up to 20 ms.
PAUSE_SECONDS = 0.025
SORTS = ["TITLE", "PRODUCT_TYPE", "VENDOR", "UPDATED_AT", "CREATED_AT", "BEST_SELLING", "PRICE", "ID", "RELEVANCE"]
PAGE = """query($q: String, $s: ProductSortKeys!, $r: Boolean!, $after: String) {
  products(first: 250, query: $q, sortKey: $s, reverse: $r, after: $after) { nodes { id title } pageInfo { endCursor hasNextPage } } }"""
COUNT = "query($q: String) { products(first: 1, query: $q) { totalCount } }"


def vocabulary():
    """The words of the catalog, most frequent first; starts the sequence of random numbers."""
    random.seed(7)
    syllables = [a + b for a in "bcdfghklmnprst" for b in "aeiou"]
    return ["new", "the", "with", "shop"] + ["".join(random.choices(syllables, k=random.randint(2, 4))) for _ in range(6000)]


WORDS = ["common"] + vocabulary()[:15]
# As many as may be joined by OR or excluded.
OPTIONAL = WORDS[:12]
PREFIXES = " OR ".join(p + "*" for p in ["ba", "be", "co", "di"])
FREQUENT = " ".join(WORDS[:5]) + " " + PREFIXES.replace(" OR ", " ")
# Conditions without an index, and conditions that discard what an index finds.
CONDITIONS = [
    "-tag:*", "tag_not:*", "-tag:tag*", "-tag:tag001", "tag:tag001", "tag:tag*", "tag:nothing",
    "-vendor:vendor*", "-vendor:maker", "vendor:maker", "vendor:nobody*", "-vendor:*", "-product_type:kind", "-product_type:*",
    "-handle:product*", "handle:product*", "-sku:*", "-sku:sku*", "sku:sku*", "-barcode:*", "barcode:nothing*",
    "price:>99999999", "price:>0", "-price:>0", "price:0.01", "price:1001", "price:1001 available_for_sale:false", "-price:<999999", "variants.price:>=500 variants.price:<=500.01",
    "created_at:>2100-01-01", "-created_at:>2000-01-01", "updated_at:<2000-01-01",
    "available_for_sale:true", "available_for_sale:false", "NOT available_for_sale:true", "status:draft", "-status:active",
    "-common", "-common -new -the -with -shop", "-common*", "-title:common", "nothing", "common", "common -tag:*", "common tag:nothing",
]
# PostgreSQL compares the positions and weights of words in the documents that its index finds.
POSITIONS = [
    '"common new"', '"the new common"', '"nothing common"', 'title:the', 'title:"shop with"', 'common-new',
    '-"common new"', '"the new common" OR title:nothing', '"common new" tag:tag001', '"common new" available_for_sale:false',
    '"with the" -tag:*', '"new the with shop common new the with"', " OR ".join(f'"{a} {b}"' for a in ["the", "shop"] for b in ["new", "with", "common"]),
]
COMBINED = [
    "-tag:* -sku:*", "-tag:* OR -sku:*", "available_for_sale:false -tag:* price:>1", "NOT (tag:tag* OR vendor:maker)",
    "available_for_sale:false OR -tag:* OR price:>99999999", "common OR -tag:*", "-common OR vendor:nobody",
    " ".join(f"-tag:tag{n:03}" for n in range(60)), " OR ".join(f"tag:tag{n:03}" for n in range(60)) + " -tag:*",
    "-tag:* " + " ".join(f"-tag:no{n}" for n in range(60)), "-tag:imported " + " ".join(f"-tag:no{n}" for n in range(60)),
    "tag:imported -tag:*", "tag:imported available_for_sale:false",
    " ".join("-" + word for word in OPTIONAL), "common " + " ".join("-" + word for word in WORDS[1:13]), f"common ({' OR '.join(WORDS[1:13])})", f"nothing ({' OR '.join(WORDS[1:13])})",
    "NOT (" + " OR ".join(f"word{n} common" for n in range(6)) + ")",
    PREFIXES, FREQUENT, FREQUENT + " " + " ".join(WORDS[5:12]), " ".join(WORDS), " OR ".join(WORDS[:8]) + " OR " + PREFIXES,
    " OR ".join(OPTIONAL), " ".join(f"({a} OR {b})" for a, b in zip(WORDS[:6], WORDS[6:12])),
    " ".join([f"({a} OR {b})" for a, b in zip(WORDS[:6], WORDS[6:12])] + WORDS[12:]), '"common new" OR "the with"',
    "(" + " OR ".join(OPTIONAL) + ") available_for_sale:false -tag:*", f"-({' OR '.join(WORDS[:8])} OR {PREFIXES})",
    "common tag:tag001 available_for_sale:true price:>1 price:<50", "common available_for_sale:true price:>1 tag:imported",
    "common OR tag:tag001", "common " + " ".join(f"-tag:no{n}" for n in range(50)),
]
STAFF_CONDITIONS = ["inventory_total:>999999", "inventory_total:<0", "-inventory_total:>0", "inventory_total:<0 -tag:*", "inventory_total:<0 OR available_for_sale:false"]
COUNTED_QUERIES = [None, "-tag:*", "common", "vendor:maker", "tag:imported", "available_for_sale:true", "tag:tag001 price:>1", "status:draft"]


def write_catalog(products, file):
    all_words = vocabulary()
    weights = list(itertools.accumulate(1 / (n + 1) for n in range(len(all_words))))
    words = lambda n: " ".join(random.choices(all_words, cum_weights=weights, k=n))
    header = "Handle,Title,Body (HTML),Vendor,Type,Tags,Option1 Name,Option1 Value,Variant SKU,Variant Barcode,Variant Price," \
        "Variant Inventory Tracker,Variant Inventory Qty"
    print(header, file=file)
    for i in range(products):
        tags = ", ".join(["imported"] + [f"tag{n:03}" for n in random.sample(range(200), 2)])
        cents = random.randint(100, 100000)
        # Every other product has a price that many products share.
        price, higher_price = (f"{c // 100}.{c % 100:02}" for c in (cents, cents + 100 if i % 2 else 100100))
        print(f'product-{i},{words(1)} common {words(3)},{words(30)},Maker,Kind,"{tags}",Size,S,SKU-{i}-S,B{i}S,{price},shopify,5', file=file)
        print(f"product-{i},,,,,,,L,SKU-{i}-L,B{i}L,{higher_price},shopify,5", file=file)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Client:
    def __init__(self, port, key=None):
        self.port, self.key = port, key
        for _ in range(100):
            try:
                self.connection = http.client.HTTPConnection("127.0.0.1", port)
                self.connection.connect()
                self.used_at = time.monotonic()
                return
            except OSError:
                time.sleep(0.1)
        sys.exit("the server does not respond")

    def ask(self, document, variables):
        headers = {"content-type": "application/json"}
        if self.key:
            headers["authorization"] = "Bearer " + self.key
        body = json.dumps({"query": document, "variables": variables})
        time.sleep(PAUSE_SECONDS)
        if time.monotonic() - self.used_at > MAX_IDLE_SECONDS:
            self.connection.close()
            self.connection.connect()
        started = time.perf_counter()
        self.connection.request("POST", "/graphql", body, headers)
        answer = json.load(self.connection.getresponse())
        elapsed, self.used_at = time.perf_counter() - started, time.monotonic()
        return elapsed * 1000, answer


def measure(client, times, document, variables):
    """Returns the sorted times of a search, and its response."""
    answers = [client.ask(document, variables) for _ in range(times)]
    return sorted(time for time, _ in answers), answers[-1][1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mercato")
    parser.add_argument("work")
    parser.add_argument("--database")
    parser.add_argument("--shop")
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", default="")
    options = parser.parse_args()

    shop = os.path.abspath(options.shop or f"{options.work}/shop.db")
    is_new = options.database is not None or not os.path.exists(shop)
    port = free_port()
    # Settings in the caller's environment must not affect the measurement.
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env |= {
        "DATABASE_URL": options.database or f"sqlite://{shop}", "PORT": str(port), "RUST_LOG": "warn", "RATE_LIMIT_ANONYMOUS": "off",
        # What is measured are searches in the database.
        "RESPONSE_CACHE_BYTES": "0", "ENTITY_CACHE_BYTES": "0", "RATE_LIMIT_API_KEY": "off", "JWT_SECRET": "a-secret-of-benchmarks-that-is-long-enough",
    }
    run = lambda *args: subprocess.run([options.mercato, *args], env=env, cwd=options.work, check=True, stdout=subprocess.PIPE, text=True).stdout
    if is_new:
        with open(f"{options.work}/products.csv", "w") as file:
            write_catalog(options.products, file)
        run("import", "products", f"{options.work}/products.csv")
    else:
        run("migrate")
    key = run("apikey", "create", "--name", f"search {os.getpid()}", "--permissions", "all").split()[-1]

    server = subprocess.Popen([options.mercato, "serve"], env=env, cwd=options.work)
    slow = worst = sent = 0
    try:
        anonymous, staff = Client(port), Client(port, key)
        print(f"{'p50':>8} {'p99':>8} {'found':>6}  search")

        def report(times, found, name):
            nonlocal slow, worst, sent
            p50, p99 = times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]
            slow, worst, sent = slow + (p50 > MAX_MEDIAN_MS), max(worst, p50), sent + 1
            print(f"{p50:8.1f} {p99:8.1f} {found:>6}  {'SLOW: ' if p50 > MAX_MEDIAN_MS else ''}{name}", flush=True)

        def search(client, query, sort, reverse, who=""):
            variables = {"q": query, "s": sort, "r": reverse, "after": None}
            name = f"{who}{query if query is None or len(query) < 90 else query[:87] + '…'}, {sort}{', reverse' if reverse else ''}"
            times, answer = measure(client, options.times, PAGE, variables)
            if "errors" in answer:
                return report(times, "", f"{name}: {answer['errors'][0]['message'][:80]}")
            page = answer["data"]["products"]
            report(times, f"{len(page['nodes'])}{'+' if page['pageInfo']['hasNextPage'] else ''}", name)
            if page["pageInfo"]["hasNextPage"]:
                variables["after"] = page["pageInfo"]["endCursor"]
                times, answer = measure(client, max(3, options.times // 4), PAGE, variables)
                report(times, len(answer["data"]["products"]["nodes"]), f"{name}: second page")

        wanted = lambda queries: [query for query in queries if options.only in (query or "")]
        for query in wanted([None] + CONDITIONS):
            for sort in SORTS if query in (None, "-tag:*", "available_for_sale:false", "common") else ["TITLE", "PRICE", "ID"]:
                search(anonymous, query, sort, False)
        for query in wanted(CONDITIONS + COMBINED + POSITIONS):
            search(anonymous, query, "TITLE", True)
        for query in wanted(COMBINED + POSITIONS):
            for sort in ["TITLE", "ID", "RELEVANCE"]:
                search(anonymous, query, sort, False)
        for query in wanted(STAFF_CONDITIONS + ["-tag:*", "status:draft"]):
            for sort in ["TITLE", "PRICE", "ID"]:
                search(staff, query, sort, False, "staff: ")
        for query in wanted(COUNTED_QUERIES):
            times, answer = measure(anonymous, options.times, COUNT, {"q": query})
            report(times, str(answer["data"]["products"]["totalCount"]), f"totalCount of {query}")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
    print(f"{sent} searches, the slowest {worst:.1f} ms, {slow} over {MAX_MEDIAN_MS} ms")
    sys.exit(slow > 0)


main()
