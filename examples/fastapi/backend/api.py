"""The HTTP API."""

from fastapi import APIRouter, Depends, HTTPException, Response
from pydantic import BaseModel

from . import actions
from .auth import current_user, make_token
from .store import CHATS, USERS, User, store

router = APIRouter()


class Login(BaseModel):
    username: str
    password: str


class NewMessage(BaseModel):
    content: str
    attachment: str | None = None


class Typing(BaseModel):
    is_typing: bool


class Read(BaseModel):
    message_id: int


class NewConnection(BaseModel):
    to_user_id: int


class Content(BaseModel):
    content: str


@router.post("/auth/login")
def login(body: Login):
    for user in USERS.values():
        if user.username == body.username and body.password == "outrigger":
            access, refresh = make_token(user), make_token(user, "refresh", 86400)
            return {"access_token": access, "refresh_token": refresh, "token_type": "bearer"}
    raise HTTPException(401, "wrong name or password")


@router.get("/auth/me")
def me(user: User = Depends(current_user)):
    return {"id": user.id, "username": user.username, "full_name": user.full_name}


def member(chat_id: int, user: User = Depends(current_user)):
    """The user, if they are in the chat of the path."""
    if user.id not in CHATS.get(chat_id, ()):
        raise HTTPException(403, "not in this chat")
    return user


@router.get("/chats/{chat_id}")
def chat(chat_id: int, user: User = Depends(member)):
    return {"id": chat_id, "members": CHATS[chat_id]}


@router.get("/chats/{chat_id}/messages")
def messages(chat_id: int, user: User = Depends(member)):
    return [message for message in store.messages if message["chat_id"] == chat_id]


@router.post("/chats/{chat_id}/messages", status_code=201)
async def send_message(chat_id: int, body: NewMessage, user: User = Depends(member)):
    return await actions.send_message(user, chat_id, body.content, body.attachment)


@router.post("/chats/{chat_id}/typing", status_code=204)
async def typing(chat_id: int, body: Typing, user: User = Depends(member)):
    await actions.typing(user, chat_id, body.is_typing)
    return Response(status_code=204)


@router.post("/chats/{chat_id}/read", status_code=204)
async def read(chat_id: int, body: Read, user: User = Depends(member)):
    await actions.mark_read(user, chat_id, body.message_id)
    return Response(status_code=204)


@router.post("/connections", status_code=201)
async def connect(body: NewConnection, user: User = Depends(current_user)):
    if body.to_user_id not in USERS:
        raise HTTPException(404, "no such user")
    return await actions.ask_to_connect(user, body.to_user_id)


@router.post("/connections/{request_id}/accept")
async def accept(request_id: int, user: User = Depends(current_user)):
    for request in store.requests:
        if request["id"] == request_id and request["to_user_id"] == user.id:
            return await actions.accept_connection(user, request)
    raise HTTPException(404, "no such request")


@router.post("/posts", status_code=201)
async def add_post(body: Content, user: User = Depends(current_user)):
    return await actions.add_post(user, body.content)


@router.post("/posts/{post_id}/comments", status_code=204)
async def comment(post_id: int, body: Content, user: User = Depends(current_user)):
    for post in store.posts:
        if post["id"] == post_id:
            await actions.comment(user, post, body.content)
            return Response(status_code=204)
    raise HTTPException(404, "no such post")
