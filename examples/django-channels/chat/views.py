"""Conversations over HTTP. Who is no member does not find one."""

from django.shortcuts import get_object_or_404
from rest_framework.decorators import api_view
from rest_framework.response import Response

from . import actions
from .models import Conversation


def mine(request, pk):
    return get_object_or_404(Conversation, pk=pk, members=request.user)


@api_view(["GET", "POST"])
def conversations(request):
    if request.method == "GET":
        results = [one.as_json() for one in request.user.conversations.order_by("pk")]
        return Response({"count": len(results), "results": results})
    begun = actions.begin(request.user, request.data.get("members", []))
    return Response(begun.as_json(), status=201)


@api_view(["GET"])
def conversation(request, pk):
    return Response(mine(request, pk).as_json())


@api_view(["GET", "POST"])
def messages(request, pk):
    conversation = mine(request, pk)
    if request.method == "GET":
        return Response([message.as_json() for message in conversation.messages.order_by("pk")])
    text = request.data.get("message")
    if not isinstance(text, str):
        return Response({"message": "message is required"}, status=400)
    return Response(actions.say(request.user, pk, text).as_json(), status=201)


@api_view(["POST"])
def typing(request, pk):
    mine(request, pk)
    actions.type_in(
        request.user, pk, request.data.get("is_typing", True), request.data.get("sender_channel")
    )
    return Response(status=204)


@api_view(["POST"])
def read(request, pk):
    mine(request, pk)
    message_id = request.data.get("message_id")
    if not isinstance(message_id, int):
        return Response({"message": "message_id is required"}, status=400)
    actions.read(request.user, pk, message_id)
    return Response(status=204)
