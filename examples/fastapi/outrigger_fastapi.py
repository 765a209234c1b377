"""Tells Outrigger what happened. Standard library only.

A drop-in for the ConnectionManager that many FastAPI apps have:

    manager = ConnectionManager()                                         # before
    manager = outrigger_fastapi.ConnectionManager(url, secret, manager)   # after

The three broadcasts go to Outrigger and to the app's own sockets; everything else is the app's own
manager. With `wraps=None` there are no sockets in the app any more. The channel is the topic, the
message's `type` the event's, the whole message its data: the frame `"*" = "{data}"` sends it as it is.
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

log = logging.getLogger("outrigger")
TRIES = 3


class PublishError(Exception):
    """Outrigger did not take the event."""


class ConnectionManager:
    def __init__(self, url, secret, wraps=None, ephemeral=()):
        """`ephemeral`: the types that are not worth replaying to who comes back, such as typing."""
        self.url = url.rstrip("/") + "/outrigger/events"
        self.secret = secret
        self.wrapped = wraps
        self.ephemeral = set(ephemeral)

    def __getattr__(self, name):
        return getattr(self.wrapped, name)

    async def broadcast_to_channel(self, channel, message, exclude=None):
        """`exclude` is a socket of the app; the clients that Outrigger serves all hear."""
        if self.wrapped:
            await self.wrapped.broadcast_to_channel(channel, message, exclude=exclude)
        await self.tell({"topics": [channel]}, message)

    async def broadcast_to_user(self, channel, user_id, message):
        await self.broadcast_to_users(channel, [user_id], message)

    async def broadcast_to_users(self, channel, user_ids, message):
        if self.wrapped:
            await self.wrapped.broadcast_to_users(channel, user_ids, message)
        if user_ids:  # an empty list is nobody
            await self.tell({"topics": [channel], "users": list(user_ids)}, message)

    async def tell(self, to, message):
        """Publishes. If Outrigger cannot be reached the app goes on, and the log says so."""
        kind = message["type"]
        event = {"id": str(uuid.uuid4()), "type": kind, "data": message, **to}
        event["ephemeral"] = kind in self.ephemeral
        try:
            await asyncio.to_thread(publish, self.url, self.secret, event)
        except PublishError as error:
            log.error("Event not published: %s", error)


def publish(url, secret, event):
    """Puts one event on the feed and returns its result, such as {"result": "accepted", ...}.

    Outrigger's 202 means the event is in the feed. What fails on the way is tried again with the same
    id, so that it can arrive once only.
    """
    body = json.dumps(event).encode()
    for tried in range(1, TRIES + 1):
        request = urllib.request.Request(url, body, signed(secret, event["id"], body))
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
