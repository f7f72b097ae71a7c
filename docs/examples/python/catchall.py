"""Answers clicks that no other service asks for. The gateway has to run with
GATEWAY_FALLBACK=true, else there is no stream POSTBACKS_UNCLAIMED."""

import json

from natsclient import Client

nats = Client()
nats.create_consumer("POSTBACKS_UNCLAIMED", {
    "durable_name": "catchall-python",
    "deliver_policy": "new",  # do not answer old clicks
})
print("ready", flush=True)

for message in nats.messages("POSTBACKS_UNCLAIMED", "catchall-python"):
    try:
        event = json.loads(message.data)
    except ValueError:
        nats.term(message, "not an event")
        continue
    # A click without a payload and a followed link are unclaimed events too.
    payload = event["data"].get("payload")
    if payload is not None:
        person = event["data"]["user"].get("id")
        print(f"sorry, {person}: no service handles {payload['raw']}", flush=True)
    nats.ack(message)
