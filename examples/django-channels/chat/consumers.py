"""Conversations over sockets: one socket for each of them (the old way), or the inbox, one for all."""

import json

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from . import actions

in_database = database_sync_to_async


class ConversationEvents(AsyncWebsocketConsumer):
    """What is heard in the groups `chat_<id>`."""

    async def send_json(self, content):
        await self.send(text_data=json.dumps(content))

    async def disconnect(self, code):
        for group in getattr(self, "joined", ()):
            await self.channel_layer.group_discard(group, self.channel_name)

    async def join(self, group):
        self.joined.append(group)
        await self.channel_layer.group_add(group, self.channel_name)

    async def receive(self, text_data=None, bytes_data=None):
        try:
            message = json.loads(text_data or "")
        except json.JSONDecodeError:
            await self.send_json({"type": "error", "message": "Invalid JSON"})
            return
        if isinstance(message, dict):
            await self.act(message)

    async def chat_message(self, event):
        is_mine = event["message"]["sender_id"] == self.scope["user"].pk
        await self.send_json({**event["message"], "is_mine": is_mine})

    async def chat_typing(self, event):
        if event["sender_channel"] != self.channel_name:
            await self.send_json(
                {
                    "type": "TYPING",
                    "conversation_id": event["conversation_id"],
                    "user_id": event["user_id"],
                    "is_typing": event["is_typing"],
                }
            )

    async def chat_read(self, event):
        await self.send_json(
            {
                "type": "READ",
                "conversation_id": event["conversation_id"],
                "user_id": event["user_id"],
                "message_id": event["message_id"],
            }
        )

    async def chat_presence(self, event):
        if event["user_id"] != self.scope["user"].pk:
            await self.send_json(
                {
                    "type": event["status"],
                    "conversation_id": event["conversation_id"],
                    "user_id": event["user_id"],
                }
            )


class ChatConsumer(ConversationEvents):
    """`/ws/chat/<id>/`: a welcome, and a presence frame when others come and go."""

    async def connect(self):
        user = self.scope["user"]
        self.conversation = self.scope["url_route"]["kwargs"]["conversation_id"]
        if user.is_anonymous or not await in_database(actions.is_member)(user, self.conversation):
            await self.close()
            return
        self.joined = []
        await self.join(f"chat_{self.conversation}")
        await self.accept()
        await self.send_json(
            {
                "type": "connection_established",
                "message": f"Connected as {user.get_full_name()}",
                "user_id": user.pk,
                "conversation_id": self.conversation,
            }
        )
        await self.tell_presence("user_online")

    async def disconnect(self, code):
        await super().disconnect(code)
        if hasattr(self, "joined"):
            await self.tell_presence("user_offline")

    async def tell_presence(self, status):
        await self.channel_layer.group_send(
            f"chat_{self.conversation}",
            {
                "type": "chat.presence",
                "status": status,
                "conversation_id": self.conversation,
                "user_id": self.scope["user"].pk,
            },
        )

    async def act(self, message):
        user, pk = self.scope["user"], self.conversation
        match message.get("type"):
            case "message" if isinstance(message.get("content"), str):
                await in_database(actions.say)(user, pk, message["content"])
            case "message":
                await self.send_json({"type": "error", "message": "content is required"})
            case "typing":
                is_typing = message.get("is_typing", True)
                await in_database(actions.type_in)(user, pk, is_typing, self.channel_name)
            case "read" if isinstance(message.get("message_id"), int):
                await in_database(actions.read)(user, pk, message["message_id"])
            case "ping":
                await self.send_json({"type": "pong"})


class InboxConsumer(ConversationEvents):
    """`/ws/inbox/`: the user's own group, and those of all their conversations."""

    async def connect(self):
        user = self.scope["user"]
        if user.is_anonymous:
            await self.close()
            return
        self.joined = []
        await self.join(f"inbox_{user.pk}")
        for pk in await in_database(actions.ids_of)(user):
            await self.join(f"chat_{pk}")
        await self.accept()

    async def act(self, message):
        user, pk = self.scope["user"], message.get("conversation_id")
        if pk is None:
            await self.send_json({"type": "error", "message": "conversation_id is required"})
            return
        if not await in_database(actions.is_member)(user, pk):
            await self.send_json(
                {"type": "error", "message": "Not a member", "conversation_id": pk}
            )
            return
        match message.get("type"):
            case "TEXT" if isinstance(message.get("message"), str):
                await in_database(actions.say)(user, pk, message["message"])
            case "TEXT":
                await self.send_json(
                    {"type": "error", "message": "message is required", "conversation_id": pk}
                )
            case "TYPING":
                is_typing = message.get("is_typing", True)
                await in_database(actions.type_in)(user, pk, is_typing, self.channel_name)
            case "READ" if isinstance(message.get("message_id"), int):
                await in_database(actions.read)(user, pk, message["message_id"])
            case "JOIN" if f"chat_{pk}" not in self.joined:
                await self.join(f"chat_{pk}")
                await self.send_json({"type": "JOINED", "conversation_id": pk})
            case "LEAVE" if f"chat_{pk}" in self.joined:
                self.joined.remove(f"chat_{pk}")
                await self.channel_layer.group_discard(f"chat_{pk}", self.channel_name)
                await self.send_json({"type": "LEFT", "conversation_id": pk})

    async def conversation_created(self, event):
        await self.send_json(
            {"type": "CONVERSATION_CREATED", "conversation": event["conversation"]}
        )
