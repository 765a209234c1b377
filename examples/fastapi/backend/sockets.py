"""The sockets as they were before Outrigger."""

import json

from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect

from . import actions
from .auth import user_of
from .manager import manager
from .store import CHATS

router = APIRouter()


async def authenticate(websocket, token):
    """The user; else the socket is accepted and closed, so that browsers see the code."""
    user = user_of(token)
    if user is None:
        await websocket.accept()
        await websocket.close(4001, "Unauthorized - invalid token")
    return user


async def messages_of(websocket):
    """What the client sends, as long as it is there. A ping is answered here."""
    while True:
        try:
            message = json.loads(await websocket.receive_text())
        except json.JSONDecodeError:
            await websocket.send_json({"type": "error", "message": "Invalid JSON"})
            continue
        if not isinstance(message, dict):
            continue
        if message.get("type") == "ping":
            await websocket.send_text(json.dumps({"type": "pong"}))
        else:
            yield message


async def listen(websocket, channel, token, welcome=False):
    """A socket that only hears."""
    user = await authenticate(websocket, token)
    if user is None:
        return
    await manager.connect(websocket, channel, user.id)
    try:
        if welcome:
            await websocket.send_json(
                {
                    "type": "connection_established",
                    "message": f"Connected as {user.full_name}",
                    "user_id": user.id,
                }
            )
        async for _ in messages_of(websocket):
            pass
    except WebSocketDisconnect:
        pass
    finally:
        manager.disconnect(websocket, channel)


@router.websocket("/ws/connections")
async def connections(websocket: WebSocket, token: str = Query()):
    await listen(websocket, "connections", token)


@router.websocket("/ws/notifications")
async def notifications(websocket: WebSocket, token: str = Query()):
    await listen(websocket, "notifications", token, welcome=True)


@router.websocket("/ws/feed")
async def feed(websocket: WebSocket, token: str = Query()):
    await listen(websocket, "feed", token)


@router.websocket("/ws/messages/{chat_id}")
async def messages(websocket: WebSocket, chat_id: int, token: str = Query()):
    user = await authenticate(websocket, token)
    if user is None:
        return
    if user.id not in CHATS.get(chat_id, ()):
        await websocket.accept()
        await websocket.close(4003, "Forbidden - not in this chat")
        return
    channel = f"messages_{chat_id}"
    await manager.connect(websocket, channel, user.id)
    try:
        async for message in messages_of(websocket):
            await on_chat_message(websocket, user, chat_id, message)
    except WebSocketDisconnect:
        pass
    finally:
        manager.disconnect(websocket, channel)


async def on_chat_message(websocket, user, chat_id, message):
    match message.get("type"):
        case "message" if isinstance(message.get("content"), str):
            await actions.send_message(user, chat_id, message["content"], message.get("attachment"))
        case "typing":
            typing = {
                "type": "typing",
                "user_id": user.id,
                "is_typing": message.get("is_typing"),
            }
            await manager.broadcast_to_channel(f"messages_{chat_id}", typing, exclude=websocket)


@router.websocket("/ws/inbox/")
async def inbox(websocket: WebSocket, token: str = Query()):
    user = await authenticate(websocket, token)
    if user is None:
        return
    await manager.connect(websocket, "inbox", user.id)
    try:
        async for message in messages_of(websocket):
            if user.id in CHATS.get(message.get("conversation_id"), ()):
                await on_inbox_message(user, message)
    except WebSocketDisconnect:
        pass
    finally:
        manager.disconnect(websocket, "inbox")


async def on_inbox_message(user, message):
    chat_id = message["conversation_id"]
    match message.get("type"):
        case "TEXT" if isinstance(message.get("message"), str):
            await actions.send_message(user, chat_id, message["message"])
        case "TYPING" if isinstance(message.get("is_typing"), bool):
            await actions.typing(user, chat_id, message["is_typing"])
        case "READ" if isinstance(message.get("message_id"), int):
            await actions.mark_read(user, chat_id, message["message_id"])


@router.websocket("/ws/online")
async def online(websocket: WebSocket, token: str = Query()):
    user = await authenticate(websocket, token)
    if user is None:
        return
    await manager.connect(websocket, "online", user.id)
    came = {"type": "user_online", "user_id": user.id, "full_name": user.full_name}
    await manager.broadcast_to_channel("online", came, exclude=websocket)
    try:
        async for _ in messages_of(websocket):
            pass
    except WebSocketDisconnect:
        pass
    finally:
        manager.disconnect(websocket, "online")
        await manager.broadcast_to_channel("online", {"type": "user_offline", "user_id": user.id})
