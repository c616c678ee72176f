"""Invokes `mercato lambda` through an emulator of Lambda's runtime API; see lambda.sh.

The event is that of an HTTP API with a page of the catalog. Times are in milliseconds: `init` from
the start of the process to its first request for an event, `first` from that to its first response,
`cold` their sum, and `warm` from an event to the response of a process that has answered before.
"""
import http.server
import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time

mercato, cold, warm, document = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
TIMEOUT = 60
PREFIX = "/2018-06-01/runtime/invocation/"

ready, events, answers = queue.Queue(), queue.Queue(), queue.Queue()


class RuntimeApi(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def reply(self, status, body, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        assert self.path == PREFIX + "next", self.path
        ready.put(time.perf_counter())
        event = events.get()
        if event is None:
            self.close_connection = True
            return
        deadline = int(time.time() * 1000) + 30_000
        self.reply(200, event, [
            ("lambda-runtime-aws-request-id", "1"),
            ("lambda-runtime-deadline-ms", str(deadline)),
            ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:123456789012:function:shop"),
        ])

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0)) if "content-length" in self.headers \
            else self.read_chunks()
        answers.put((time.perf_counter(), self.path, body))
        self.reply(202, b"{}")

    def read_chunks(self):
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


def invoke(event):
    started = time.perf_counter()
    events.put(event)
    ended, path, body = answers.get(timeout=TIMEOUT)
    answer = json.loads(body)
    assert path.endswith("/response") and answer["statusCode"] == 200, (path, body[:500])
    assert "errors" not in json.loads(answer["body"]), answer["body"][:500]
    return (ended - started) * 1000


def start(address):
    """Starts a process; returns it with the time until it asks for an event."""
    started = time.perf_counter()
    process = subprocess.Popen([mercato, "lambda"], env={**os.environ, "AWS_LAMBDA_RUNTIME_API": address})
    try:
        return process, (ready.get(timeout=TIMEOUT) - started) * 1000
    except queue.Empty:
        process.kill()
        raise SystemExit("the function does not start")


def stop(process):
    """Stops a process that waits for an event."""
    process.kill()
    process.wait()
    # Ends the thread that still waits for an event for it.
    events.put(None)


def show(name, times):
    times = sorted(times)
    at = lambda part: times[min(len(times) - 1, int(len(times) * part))]
    print(f"{name:6} median {statistics.median(times):8.2f}   p90 {at(0.9):8.2f}   p99 {at(0.99):8.2f}   max {times[-1]:8.2f}")


http.server.ThreadingHTTPServer.daemon_threads = True
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"127.0.0.1:{server.server_port}"

body = json.dumps({"query": open(document).read(), "variables": {"first": 20}})
event = json.dumps({
    "version": "2.0", "routeKey": "$default", "rawPath": "/graphql", "rawQueryString": "",
    "headers": {"content-type": "application/json", "host": "shop.example", "x-forwarded-proto": "https"},
    "requestContext": {
        "http": {"method": "POST", "path": "/graphql", "protocol": "HTTP/1.1", "sourceIp": "198.51.100.7"},
        "stage": "$default",
    },
    "body": body, "isBase64Encoded": False,
}).encode()

inits, firsts = [], []
for _ in range(cold):
    process, init = start(address)
    inits.append(init)
    firsts.append(invoke(event))
    ready.get(timeout=TIMEOUT)
    stop(process)
process, _ = start(address)
warms = []
for _ in range(warm + 50):
    warms.append(invoke(event))
    ready.get(timeout=TIMEOUT)
with open(f"/proc/{process.pid}/status") as status:
    memory = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
stop(process)

print(f"{cold} cold starts and {warm} warm invocations, in milliseconds")
show("init", inits)
show("first", firsts)
show("cold", [init + first for init, first in zip(inits, firsts)])
show("warm", warms[50:])
print(f"memory at most {memory / 1024:.0f} MiB")
