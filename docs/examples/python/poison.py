"""Tries each rating three times. givenup.py shows which events the server has given
up then."""

import json
import sys

from natsclient import Client

nats = Client()
nats.create_consumer("POSTBACKS", {
    "durable_name": "rating-worker-python",
    "filter_subjects": ["postback.v1.*.*.rate.>"],
    "deliver_policy": "new",  # do not answer old clicks
    "max_deliver": 3,  # without it a poison message comes back forever
})
print("ready", flush=True)


def rate(event):
    stars = int(event["data"].get("payload", {}).get("action", ""))  # poison: no retry helps
    print(f"{event['data']['user'].get('id')} gave {stars} stars", flush=True)


for message in nats.messages("POSTBACKS", "rating-worker-python"):
    try:
        event = json.loads(message.data)
    except ValueError:
        nats.term(message, "not an event")  # given up at once
        continue
    try:
        rate(event)
        nats.ack(message)
    except ValueError as err:
        print(f"event {event['id']}: {err}", file=sys.stderr, flush=True)
        nats.nak(message, seconds=1)
