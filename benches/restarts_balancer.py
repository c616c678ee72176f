"""The balancer of `restarts.py`, in its own process, and the framing of HTTP/1.1 messages.

It asks every node for `/readyz`, sends each request to the ready node with the fewest requests in
progress, over connections that it keeps, and adds `X-Forwarded-For`. Like nginx with
`proxy_next_upstream error timeout`, it never sends a request again that a node may have received:
only if it can't connect does it ask another node. So whatever a node drops, a client gets to see.
It reads a request and its response as a whole, which must have a `Content-Length`; upgraded
connections are passed through. Uses only Python's standard library.

`GET /balancer` on its own port reports what it knows of the nodes.
"""
import asyncio
import collections
import functools
import json
import re
import signal
import time

from hostile_load import take_priority

PROBE_INTERVAL = 0.25
PROBE_TIMEOUT = 1.0
# Failed probes in a row after which a node gets no requests.
MAX_FAILED_PROBES = 2
# Shorter than the nodes' HTTP_IDLE_TIMEOUT_MS, so that no request crosses with the end of its
# connection.
IDLE_TIMEOUT = 30.0
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
CONNECTION = re.compile(rb"\r\nconnection:[ \t]*([^\r]*)", re.IGNORECASE)
UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


class Message:
    """A message as it arrives: complete once its head and its body are there."""

    def __init__(self):
        self.data, self.head_end, self.end = bytearray(), 0, 0

    def add(self, data):
        """Whether the message is complete."""
        self.data += data
        if not self.end:
            self.head_end = self.data.find(b"\r\n\r\n")
            if self.head_end < 0:
                return False
            found = LENGTH.search(self.data, 0, self.head_end)
            self.end = self.head_end + 4 + (int(found[1]) if found else 0)
        return len(self.data) >= self.end

    def is_last(self):
        """Whether its sender closes the connection after it."""
        found = CONNECTION.search(self.data, 0, self.head_end)
        return bool(found) and b"close" in found[1].lower()

    def has_upgrade(self):
        return bool(UPGRADE.search(self.data, 0, self.head_end))

    def forwarded_for(self, address):
        """The request for the node, which must not close the connection after it."""
        head = CONNECTION.sub(b"", bytes(self.data[: self.head_end]))
        connection = b"upgrade" if self.has_upgrade() else b"keep-alive"
        return b"%s\r\nX-Forwarded-For: %s\r\nConnection: %s%s" % (head, address, connection, self.data[self.head_end :])

    def for_client(self):
        """The response for the client, whose connection is kept whatever the node does."""
        return CONNECTION.sub(b"", bytes(self.data[: self.head_end])) + self.data[self.head_end : self.end]


class Node:
    """A server behind the balancer."""

    def __init__(self, port):
        self.port, self.is_ready, self.failed_probes = port, False, MAX_FAILED_PROBES
        self.running, self.served, self.used_at, self.idle = 0, 0, 0.0, collections.deque()

    async def probe(self):
        """Asks the node whether it should get requests."""
        writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: balancer\r\nConnection: close\r\n\r\n")
            return (await reader.readline())[9:12] == b"200"
        except OSError:
            return False
        finally:
            if writer is not None:
                writer.close()

    async def watch(self):
        while True:
            started = time.monotonic()
            try:
                is_ready = await asyncio.wait_for(self.probe(), PROBE_TIMEOUT)
            except (asyncio.TimeoutError, TimeoutError):
                is_ready = False
            self.failed_probes = 0 if is_ready else self.failed_probes + 1
            if is_ready != self.is_ready and (is_ready or self.failed_probes >= MAX_FAILED_PROBES):
                self.is_ready = is_ready
            self.close_idle(0 if not self.is_ready else IDLE_TIMEOUT)
            await asyncio.sleep(max(0.0, started + PROBE_INTERVAL - time.monotonic()))

    def close_idle(self, age):
        while self.idle and time.monotonic() - self.idle[0].idle_since >= age:
            self.idle.popleft().transport.close()


class Upstream(asyncio.Protocol):
    """A connection to a node."""

    def __init__(self, node):
        self.node, self.transport, self.client, self.response = node, None, None, Message()
        self.is_tunnel, self.idle_since = False, 0.0

    def connection_made(self, transport):
        self.transport = transport

    def send(self, client, request, is_tunnel):
        self.client, self.is_tunnel, self.response = client, is_tunnel, Message()
        self.node.running, self.node.used_at = self.node.running + (not is_tunnel), time.monotonic()
        self.transport.write(request)

    def data_received(self, data):
        if self.is_tunnel:
            if self.client is not None:
                self.client.transport.write(data)
        elif self.client is None:
            # A response that nobody has asked for.
            self.transport.close()
        elif self.response.add(data):
            client, response = self.client, self.response
            self.end()
            self.node.served += 1
            if response.is_last() or not self.node.is_ready:
                self.transport.close()
            else:
                self.idle_since = time.monotonic()
                self.node.idle.append(self)
            client.respond(response.for_client())

    def connection_lost(self, _error):
        if self.client is None:
            if self in self.node.idle:
                self.node.idle.remove(self)
            return
        client, has_begun = self.client, bool(self.response.data)
        self.end()
        if self.is_tunnel:
            client.transport.close()
        else:
            client.fail(502, "node closed within its response" if has_begun else "node closed without a response")

    def end(self):
        self.client = None
        self.node.running -= not self.is_tunnel


class Client(asyncio.Protocol):
    """A client's connection, with at most one request at a time."""

    def __init__(self, balancer):
        self.balancer, self.transport, self.address = balancer, None, b""
        self.request, self.tunnel, self.task = Message(), None, None

    def connection_made(self, transport):
        self.transport, self.address = transport, transport.get_extra_info("peername")[0].encode()

    def data_received(self, data):
        if self.tunnel is not None:
            self.tunnel.transport.write(data)
        elif self.request.add(data) and self.task is None:
            self.task = asyncio.ensure_future(self.handle())

    async def handle(self):
        if self.request.data.startswith(b"GET /balancer "):
            return self.respond(answer(200, self.balancer.report()))
        is_tunnel = self.request.has_upgrade()
        upstream = await self.balancer.upstream(is_tunnel)
        if upstream is None:
            return self.fail(503, "no node is ready")
        if self.transport.is_closing():
            return upstream.transport.close()
        if is_tunnel:
            self.tunnel = upstream
        upstream.send(self, self.request.forwarded_for(self.address), is_tunnel)

    def respond(self, response):
        self.request, self.task = Message(), None
        self.transport.write(response)

    def fail(self, status, why):
        self.balancer.failures[why] += 1
        self.respond(answer(status, {"errors": [{"message": why}]}))

    def connection_lost(self, _error):
        if self.tunnel is not None:
            self.tunnel.transport.close()


def answer(status, body):
    body = json.dumps(body).encode()
    return b"HTTP/1.1 %d -\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


class Balancer:
    """Distributes requests over the nodes."""

    def __init__(self, ports):
        self.nodes, self.failures = [Node(port) for port in ports], collections.Counter()
        self.failed_connects = 0

    async def upstream(self, is_tunnel):
        """A connection to the least busy node that is ready, the one used longest ago among equals;
        `None` if there is none.
        """
        ready = [node for node in self.nodes if node.is_ready]
        for node in sorted(ready, key=lambda node: (node.running, node.used_at)):
            while node.idle and not is_tunnel:
                # The one used last, so that those beyond the need become idle for long and end.
                upstream = node.idle.pop()
                if not upstream.transport.is_closing():
                    return upstream
            try:
                made = functools.partial(Upstream, node)
                connect = asyncio.get_running_loop().create_connection(made, "127.0.0.1", node.port)
                return (await asyncio.wait_for(connect, PROBE_TIMEOUT))[1]
            except (OSError, asyncio.TimeoutError, TimeoutError):
                # Nothing was sent.
                self.failed_connects += 1
        return None

    def report(self):
        nodes = [{"port": node.port, "isReady": node.is_ready, "served": node.served} for node in self.nodes]
        return {"nodes": nodes, "failures": self.failures, "failedConnects": self.failed_connects}


async def balance(port, ports):
    balancer = Balancer(ports)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(balancer), "127.0.0.1", port, backlog=1024)
    async with server:
        await asyncio.gather(*(node.watch() for node in balancer.nodes))


def run(port, ports):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    take_priority(-10)
    asyncio.run(balance(port, ports))
