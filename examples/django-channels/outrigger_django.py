"""Tells Outrigger what happened. Standard library only (and Channels, if you use the layer).

Two ways, choose one:

1. The drop-in channel layer: every `group_send` also goes to Outrigger, with no change to the app.

       CHANNEL_LAYERS = {"default": {
           "BACKEND": "outrigger_django.OutriggerChannelLayer",
           "CONFIG": {"wraps": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {...}}},
       }}

2. By hand, where something happened, once it is committed:

       transaction.on_commit(lambda: publish("notification_message", ["notifications_42"], {...}))

Settings: OUTRIGGER_URL (such as "http://127.0.0.1:8080") and OUTRIGGER_SECRET (the webhook's secret).
"""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
import urllib.request
import uuid

from django.conf import settings
from django.utils.module_loading import import_string

log = logging.getLogger("outrigger")
TRIES = 3


class PublishError(Exception):
    """Outrigger did not take the event."""


def publish(type, topics=None, data=None, *, users=None, except_users=None, ephemeral=False, id=None):
    """Puts one event on the feed and returns its result, such as {"result": "accepted", ...}.

    Topics, users, or both (then: those users on those topics). Outrigger's 202 means the event is in the
    feed. What fails on the way is tried again with the same id, so that it can arrive once only.
    """
    event = {"id": id or str(uuid.uuid4()), "type": type, "data": {} if data is None else data}
    to = {"topics": topics, "users": users, "except": {"users": except_users} if except_users else None}
    event.update((key, value) for key, value in to.items() if value is not None)
    event["ephemeral"] = ephemeral
    body = json.dumps(event).encode()
    url = settings.OUTRIGGER_URL.rstrip("/") + "/outrigger/events"
    for tried in range(1, TRIES + 1):
        request = urllib.request.Request(url, body, signed(settings.OUTRIGGER_SECRET, event["id"], body))
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                result = json.load(answer)["results"][0]
            break
        except OSError as error:  # also HTTPError: the status is not 2xx
            if tried == TRIES or getattr(error, "code", 503) < 500:
                raise PublishError(f"{url}: {error}") from error
            time.sleep(0.1 * tried)
    if result["result"] == "rejected":
        raise PublishError(f"{url}: {result['reason']}")
    return result


def signed(secret, id, body):
    """The headers of Standard Webhooks (https://www.standardwebhooks.com)."""
    prefix = "whsec_"
    key = base64.b64decode(secret[len(prefix):]) if secret.startswith(prefix) else secret.encode()
    timestamp = str(int(time.time()))
    digest = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


class OutriggerChannelLayer:
    """The channel layer that it wraps, whose `group_send` also goes to Outrigger.

    The group is the topic, the message's `type` the event's, the rest of the message its data. If
    Outrigger cannot be reached the app's own sockets still hear, and the log says so.
    """

    def __init__(self, wraps, ephemeral=()):
        """`ephemeral`: the types that are not worth replaying to who comes back, such as typing."""
        self.wrapped = import_string(wraps["BACKEND"])(**wraps.get("CONFIG", {}))
        self.ephemeral = set(ephemeral)

    def __getattr__(self, name):
        return getattr(self.wrapped, name)

    async def group_send(self, group, message):
        await self.wrapped.group_send(group, message)
        kind = message["type"]
        data = {key: value for key, value in message.items() if key != "type"}
        ephemeral = kind in self.ephemeral
        try:
            await asyncio.to_thread(publish, kind, [group], data, ephemeral=ephemeral)
        except PublishError as error:
            log.error("Event not published: %s", error)
