"""The smallest client for JetStream: the NATS text protocol with the standard library.

Debian has no package of a NATS client for Python, and these examples install nothing.
In a project of your own use nats-py (pip install nats-py), which also reconnects and
speaks TLS. Run a program with this client under a supervisor that starts it again.
"""

import collections
import json
import os
import signal
import socket
import time
import urllib.parse

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a program without a traceback

Message = collections.namedtuple("Message", "subject reply status data")


class Client:
    """One connection, for one thread."""

    def __init__(self, url=None):
        url = urllib.parse.urlsplit(url or os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
        self.socket = socket.create_connection((url.hostname, url.port or 4222), timeout=10)
        self.received = b""
        self.waiting = collections.defaultdict(collections.deque)  # messages by subscription
        self.subscriptions = 0
        options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True}
        if url.password is not None:
            options.update({"user": url.username, "pass": url.password})
        elif url.username:
            options["auth_token"] = url.username
        self._send(f"CONNECT {json.dumps(options)}")

    def subscribe(self, subject):
        """Returns the number of the subscription, for next."""
        self.subscriptions += 1
        self._send(f"SUB {subject} {self.subscriptions}")
        return self.subscriptions

    def publish(self, subject, data=b"", reply=""):
        self._send(f"PUB {subject} {reply} {len(data)}", data)

    def next(self, subscription, seconds):
        """Returns the next message of a subscription, or None."""
        deadline = time.monotonic() + seconds
        while not self.waiting[subscription]:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._read(left)
        return self.waiting[subscription].popleft()

    def request(self, subject, body):
        """Returns the reply to a request to JetStream, as an object."""
        inbox = "_INBOX." + os.urandom(12).hex()
        subscription = self.subscribe(inbox)
        self.publish(subject, json.dumps(body).encode(), inbox)
        message = self.next(subscription, 5)
        self._send(f"UNSUB {subscription}")
        if message is None or message.status:
            raise TimeoutError(f"no reply on {subject}: is JetStream enabled?")
        reply = json.loads(message.data)
        if "error" in reply:
            raise RuntimeError(f"{subject}: {reply['error']['description']}")
        return reply

    def create_consumer(self, stream, config):
        """Creates a durable consumer, or does nothing if it exists with this config."""
        config = {"ack_policy": "explicit", **config}
        name = config["durable_name"]
        self.request(f"$JS.API.CONSUMER.CREATE.{stream}.{name}", {"stream_name": stream, "config": config})

    def messages(self, stream, consumer):
        """Yields each message of a durable consumer. Acknowledge it before the next one."""
        inbox = "_INBOX." + os.urandom(12).hex()
        subscription = self.subscribe(inbox)
        while True:
            pull = {"batch": 1, "expires": 20 * 10**9}  # nanoseconds
            self.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}", json.dumps(pull).encode(), inbox)
            message = self.next(subscription, 25)
            if message is None:
                raise ConnectionError("the server does not respond")
            if not message.status:
                yield message
            elif message.status != "408":  # 408: no message in that time
                raise ConnectionError(f"consumer {consumer}: status {message.status}")

    def ack(self, message):
        self.publish(message.reply, b"+ACK")

    def nak(self, message, seconds):
        self.publish(message.reply, b"-NAK " + json.dumps({"delay": int(seconds * 1e9)}).encode())

    def term(self, message, reason):
        self.publish(message.reply, f"+TERM {reason}".encode())

    def _send(self, line, data=None):
        body = b"" if data is None else data + b"\r\n"
        self.socket.sendall(line.encode() + b"\r\n" + body)

    def _read(self, seconds):
        """Waits for bytes and processes what is complete."""
        self.socket.settimeout(seconds)
        try:
            arrived = self.socket.recv(65536)
        except TimeoutError:
            return
        if not arrived:
            raise ConnectionError("the server closed the connection")
        self.received += arrived
        while self._process():
            pass

    def _process(self):
        """Processes one operation of the protocol, if it is complete."""
        line, end, rest = self.received.partition(b"\r\n")
        if not end:
            return False
        word, *fields = line.decode().split()
        if word in ("MSG", "HMSG"):
            size = int(fields[-1])
            if len(rest) < size + 2:
                return False
            self._deliver(word, fields, rest[:size])
            rest = rest[size + 2 :]
        elif word == "PING":
            self._send("PONG")
        elif word == "-ERR":
            raise ConnectionError(line.decode())
        self.received = rest
        return True

    def _deliver(self, word, fields, data):
        headers = int(fields[-2]) if word == "HMSG" else 0
        reply = fields[2] if len(fields) == (5 if word == "HMSG" else 4) else ""
        first = data[:headers].decode().split("\r\n")[0].split()  # NATS/1.0, and a status if it is one
        status = first[1] if len(first) > 1 else ""
        message = Message(fields[0], reply, status, data[headers:])
        self.waiting[int(fields[1])].append(message)
