"""Runs the measurements of instructions.sh: counts the instructions that the servers of compare.py
execute for the same requests, and compares them with the stored figures.
"""

import argparse
import concurrent.futures
import http.client
import json
import os
import re
import subprocess
import sys

from compare import Comparison

# How many requests are counted of each workload: many of those that take little, because background
# work counts, too. They are sent twice, and counted the second time: then statements are prepared,
# and caches are filled.
COUNTED = {"typename": 200, "product": 200, "page": 200, "order": 20}
COUNTED_UNCACHED_PAGES = 20
# How much more than stored fails.
MAX_LOSS = 0.15


class Count(Comparison):
    def __init__(self, options):
        super().__init__(options)
        self.starts = {}

    def serve(self, server, command, env):
        # Counting begins later: without it, the server starts several times faster.
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={server.folder}/counts", "--instr-atstart=no"]
        self.starts[server.name] = lambda: server.start(valgrind + command, env)

    def send(self, server, workload, bodies):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)

        def post(body):
            connection.request("POST", "/graphql", body, {"content-type": "application/json"})
            return connection.getresponse().read().decode()

        for body in bodies:
            response = post(body)
            if workload == "order":
                cart = re.search(r'"id":"(gid://mercato/Cart/[^"]+)"', response)[1]
                response = post(cart.join(server.order))
                if '"status":"PAID"' not in response:
                    sys.exit(f"{server.name}: {response}")
        connection.close()
        self.drain(server)

    def control(self, server, *arguments):
        # It finds the process by variables such as HOST, which the server doesn't have.
        env, pid = {"PATH": os.environ["PATH"]}, str(server.process.pid)
        subprocess.run(["callgrind_control", *arguments, pid], env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def count(self, server):
        self.starts[server.name]()
        workloads = [workload for workload in self.workloads if self.has_workload(server, workload)]
        for number, workload in enumerate(workloads, 1):
            takes_long = workload == "page" and server.name.endswith("-uncached")
            bodies = self.bodies(server, workload)[: COUNTED_UNCACHED_PAGES if takes_long else COUNTED[workload]]
            self.send(server, workload, bodies)
            self.control(server, "--instr=on")
            self.send(server, workload, bodies)
            self.control(server, "--dump")
            self.control(server, "--instr=off")
            with open(f"{server.folder}/counts.{number}") as file:
                instructions = int(re.search(r"^totals: (\d+)$", file.read(), re.M)[1])
            self.results[workload, server.name] = instructions / len(bodies)

    def count_all(self):
        """In parallel, which does not affect the counts."""
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
            list(threads.map(self.count, self.servers))

    def ratios(self):
        """Relative to `hello`, which places no orders: a page is the most work that it does."""
        reference = lambda workload: self.results["page" if workload == "order" else workload, "hello"]
        return {
            f"{workload}, {name}": round(count / reference(workload), 3)
            for (workload, name), count in sorted(self.results.items())
            if name != "hello"
        }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("--mercato", required=True)
    parser.add_argument("--hello", required=True, help="the server without a database")
    parser.add_argument("--postgres", type=int, required=True, help="the port of PostgreSQL")
    parser.add_argument("--stored", required=True, help="a file with ratios")
    parser.add_argument("--record", action="store_true", help="write the file")
    options = parser.parse_args()
    options.server = [f"mercato={options.mercato}"]
    options.peer = options.postgres_pid = None
    options.backends, options.caches = "sqlite,postgres", "both"
    options.workloads, options.products = ",".join(COUNTED), 200

    count = Count(options)
    count.start()
    count.count_all()
    ratios = count.ratios()
    if options.record:
        with open(options.stored, "w") as file:
            json.dump(ratios, file, indent=2)
            file.write("\n")
    with open(options.stored) as file:
        stored = json.load(file)
    if ratios.keys() != stored.keys():
        sys.exit(f"{options.stored} has other figures: record it again")
    print(f"{'instructions per request':36}{'thousands':>10}{'ratio':>8}{'stored':>8}")
    for cell, ratio in ratios.items():
        thousands = count.results[tuple(cell.split(", "))] / 1000
        print(f"{cell:36}{thousands:10.0f}{ratio:8.3f}{stored[cell]:8.3f}{ratio / stored[cell] - 1:+8.1%}")
    if losses := [cell for cell, ratio in ratios.items() if ratio > stored[cell] * (1 + MAX_LOSS)]:
        sys.exit(f"more than {MAX_LOSS:.0%} above {options.stored}: {'; '.join(losses)}. CONTRIBUTING.md says what to do.")


main()
