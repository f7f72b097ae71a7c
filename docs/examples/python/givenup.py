"""Prints each event that reached the max_deliver of the consumer of poison.py. The
event is still in the stream. The advisory is a plain NATS message: nobody keeps it for
a program that is not running."""

import json

from natsclient import Client

STREAM, CONSUMER = "POSTBACKS", "rating-worker-python"

nats = Client()
advisories = nats.subscribe(f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{STREAM}.{CONSUMER}")
nats.request(f"$JS.API.STREAM.INFO.{STREAM}", {})  # the server knows the subscription now
print("ready", flush=True)
while True:
    advisory = nats.next(advisories, seconds=3600)
    if advisory is not None:
        sequence = json.loads(advisory.data)["stream_seq"]
        stored = nats.request(f"$JS.API.STREAM.MSG.GET.{STREAM}", {"seq": sequence})
        print(f"given up: sequence {sequence}, {stored['message']['subject']}", flush=True)
