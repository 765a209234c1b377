"""What users do, over HTTP or over a socket: change the store, tell the sockets."""

from .manager import manager
from .store import CHATS, store


async def send_message(user, chat_id, content, attachment=None):
    message = store.add(
        "messages", chat_id=chat_id, sender_id=user.id, content=content, attachment=attachment
    )
    await manager.broadcast_to_channel(
        f"messages_{chat_id}",
        {
            "type": "new_message",
            "message_id": message["id"],
            "sender_id": user.id,
            "content": content,
            "attachment": attachment,
            "timestamp": message["timestamp"],
        },
    )
    await manager.broadcast_to_users(
        "inbox",
        CHATS[chat_id],
        {
            "type": "TEXT",
            "message": content,
            "conversation_id": chat_id,
            "sender_id": user.id,
            "sender_name": user.full_name,
            "sender_avatar": user.avatar,
            "created_at": message["timestamp"] + "Z",
            "message_id": message["id"],
        },
    )
    return message


async def tell_others(user, chat_id, message):
    """To the inboxes of the others in a chat."""
    others = [member for member in CHATS[chat_id] if member != user.id]
    await manager.broadcast_to_users("inbox", others, message)


async def typing(user, chat_id, is_typing):
    await tell_others(
        user,
        chat_id,
        {
            "type": "TYPING",
            "conversation_id": chat_id,
            "sender_id": user.id,
            "sender_name": user.full_name,
            "is_typing": is_typing,
        },
    )


async def mark_read(user, chat_id, message_id):
    await tell_others(
        user,
        chat_id,
        {
            "type": "READ",
            "conversation_id": chat_id,
            "sender_id": user.id,
            "message_id": message_id,
        },
    )


async def ask_to_connect(user, to_user_id):
    request = store.add("requests", from_user_id=user.id, to_user_id=to_user_id, accepted=False)
    await manager.broadcast_to_user(
        "connections",
        to_user_id,
        {
            "type": "connection_request",
            "request_id": request["id"],
            "from_user_id": user.id,
            "from_user_name": user.full_name,
        },
    )
    return request


async def accept_connection(user, request):
    request["accepted"] = True
    both = [request["from_user_id"], user.id]
    accepted = {"type": "connection_accepted", "request_id": request["id"], "user_id": user.id}
    await manager.broadcast_to_users("connections", both, accepted)
    return request


async def add_post(user, content):
    post = store.add("posts", userId=user.id, content=content)
    await manager.broadcast_to_channel("feed", {"type": "new_post", "post": post})
    return post


async def comment(user, post, content):
    await manager.broadcast_to_channel(
        "feed",
        {"type": "new_comment", "post_id": post["id"], "user_id": user.id, "content": content},
    )
    await manager.broadcast_to_user(
        "notifications",
        post["userId"],
        {"type": "comment_on_post", "post_id": post["id"], "user_name": user.full_name},
    )
