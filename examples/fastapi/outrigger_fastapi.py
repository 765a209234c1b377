"""Tells Outrigger what happened. Standard library only.

A drop-in for the ConnectionManager that many FastAPI apps have:

    manager = ConnectionManager()                                         # before
    manager = outrigger_fastapi.ConnectionManager(url, secret, manager)   # after

What goes to Outrigger and to the app's own sockets (with `wraps=None` the app has none any more):

    await manager.broadcast_to_channel(channel, message, exclude=None)
    await manager.broadcast_to_user(channel, user_id, message)
    await manager.broadcast_to_users(channel, user_ids, message)

All else goes to the app's own manager only. If yours broadcasts under another name, rename it, or publish
there by hand:

    await manager.tell({"topics": [channel]}, message)

A message is a dict with a `type`. The channel is the topic, the message's `type` the event's, the whole
message its data: the frame `"*" = "{data}"` sends it as it is. A broadcast waits until Outrigger has the
event, at most about 15 seconds: three tries of 5.
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
BROADCASTS = ("broadcast_to_channel", "broadcast_to_user", "broadcast_to_users")


class PublishError(Exception):
    """Outrigger did not take the event."""


class ConnectionManager:
    def __init__(self, url, secret, wraps=None, ephemeral=()):
        """`ephemeral`: the types that are not worth replaying to who comes back, such as typing."""
        self.url = url.rstrip("/") + "/outrigger/events"
        self.secret = secret
        self.wrapped = wraps
        self.ephemeral = set(ephemeral)
        missing = [name for name in BROADCASTS if not hasattr(wraps, name)]
        if wraps is not None and missing:
            log.warning("%s has no %s: what it sends by other methods is not published",
                        type(wraps).__name__, ", ".join(missing))

    def __getattr__(self, name):
        return getattr(self.wrapped, name)

    async def broadcast_to_channel(self, channel, message, exclude=None):
        """`exclude` is a socket of the app; the clients that Outrigger serves all hear."""
        if self.wrapped is not None:
            given = {} if exclude is None else {"exclude": exclude}
            await self.wrapped.broadcast_to_channel(channel, message, **given)
        await self.tell({"topics": [channel]}, message)

    async def broadcast_to_user(self, channel, user_id, message):
        if self.wrapped is not None:
            await self.wrapped.broadcast_to_user(channel, user_id, message)
        await self.tell({"topics": [channel], "users": [user_id]}, message)

    async def broadcast_to_users(self, channel, user_ids, message):
        user_ids = list(user_ids)
        if self.wrapped is not None:
            await self.wrapped.broadcast_to_users(channel, user_ids, message)
        if user_ids:  # an empty list is nobody
            await self.tell({"topics": [channel], "users": user_ids}, message)

    async def tell(self, to, message):
        """Publishes. Whatever goes wrong, the app goes on, and the log says so."""
        try:
            kind = message["type"]
            event = {"id": str(uuid.uuid4()), "type": kind, "data": message, **to}
            event["ephemeral"] = kind in self.ephemeral
            await asyncio.to_thread(publish, self.url, self.secret, event)
        except Exception as error:  # also a message that is no dict with a type, or is not JSON
            log.error("Event not published: %r", error)


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
