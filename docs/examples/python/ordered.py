"""Writes down what each person does with a cart, in order, in as many processes as you
start. The gateway and these have the same GATEWAY_PARTITIONS."""

import json
import os
import pathlib
import sys
import threading
import time
import urllib.parse

from natsclient import Client

partitions = int(os.environ["GATEWAY_PARTITIONS"])


def consume(partition, nats):
    """Reads one partition. Every process reads all of them, and the server gives each
    event to one process."""
    for message in nats.messages("POSTBACKS", f"cart-python-p{partition}"):
        try:
            event = json.loads(message.data)
        except ValueError:
            nats.term(message, "not an event")
            continue
        try:
            change_cart(event)
            nats.ack(message)
        except OSError as err:
            print(f"event {event['id']}: {err}", file=sys.stderr)
            nats.nak(message, seconds=5)  # the partition waits


def change_cart(event):
    """Adds a line to the person's file. It needs no lock: until this event is
    acknowledged, no process has another one of this person. So the last line is also
    enough to recognize an event that is delivered again after a crash."""
    action = event["data"]["payload"].get("action")
    path = pathlib.Path("carts", urllib.parse.quote(event["partitionkey"], safe=""))
    path.parent.mkdir(exist_ok=True)
    before = path.read_text() if path.exists() else ""
    line = f"{event['id']} {action}\n"
    if not before.endswith(line):
        with path.open("a") as file:
            file.write(line)
    print(event["data"]["user"].get("id"), "cart", action, flush=True)


threads = []
for p in range(partitions):
    client = Client()  # one for each thread
    client.create_consumer("POSTBACKS", {
        "durable_name": f"cart-python-p{p}",
        "filter_subjects": [f"postback.v1.*.*.cart.*.p{p}"],
        "max_ack_pending": 1,  # the next event of the partition comes when this one is acknowledged
        "deliver_policy": "new",  # do not act on old clicks
    })
    threads.append(threading.Thread(target=consume, args=(p, client), daemon=True))
for thread in threads:
    thread.start()
print("ready", flush=True)
while all(thread.is_alive() for thread in threads):
    time.sleep(1)
sys.exit("a partition is not read any more")  # the supervisor starts the process again
