"""Records which plan each person chose, once for each click, however often the click
is delivered."""

import json
import sqlite3
import sys

from natsclient import Client


def main():
    database = sqlite3.connect("plans.db")
    database.execute("CREATE TABLE IF NOT EXISTS plans (source, id, person, plan, UNIQUE (source, id))")

    nats = Client()
    nats.create_consumer("POSTBACKS", {
        "durable_name": "plan-worker-python",
        "filter_subjects": ["postback.v1.*.*.plan.>"],
        # The default is to start with the oldest stored event: the worker would answer
        # a week of old clicks when it is deployed for the first time.
        "deliver_policy": "new",
    })
    print("ready", flush=True)

    # A message is acknowledged when it is processed. Whatever was not acknowledged is
    # delivered again, also after a crash.
    for message in nats.messages("POSTBACKS", "plan-worker-python"):
        try:
            event = json.loads(message.data)
        except ValueError:
            nats.term(message, "not an event")  # it will never be one
            continue
        try:
            choose_plan(database, event)
            nats.ack(message)
        except sqlite3.Error as err:
            print(f"event {event['id']}: {err}", file=sys.stderr)
            nats.nak(message, seconds=5)


def choose_plan(database, event):
    payload = event["data"].get("payload")
    if payload is None:
        return
    person, plan = event["data"]["user"].get("id"), payload.get("action")
    # The unique key makes it one step to store the click and to find out that it
    # exists, so no crash can come between them.
    with database:
        row = (event["source"], event["id"], person, plan)
        first = database.execute("INSERT OR IGNORE INTO plans VALUES (?, ?, ?, ?)", row).rowcount == 1
    print(f"{person} chose {plan}" if first else f"{event['id']} again", flush=True)


main()
