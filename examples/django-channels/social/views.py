"""The HTTP API."""

from django.contrib.auth.models import User
from django.shortcuts import get_object_or_404
from rest_framework.decorators import api_view
from rest_framework.response import Response

from . import actions
from .models import FriendRequest, person


@api_view(["GET"])
def me(request):
    return Response(person(request.user))


@api_view(["GET", "POST"])
def notifications(request):
    if request.method == "GET":
        mine = request.user.notifications.order_by("pk")
        return Response([notification.as_json() for notification in mine])
    recipient = get_object_or_404(User, pk=request.data.get("recipient"))
    title, message = request.data.get("title", ""), request.data.get("message", "")
    return Response(actions.notify(recipient, title, message).as_json(), status=201)


@api_view(["POST"])
def read(request, pk):
    return Response(status=204 if actions.mark_as_read(request.user, pk) else 404)


@api_view(["POST"])
def read_all(request):
    return Response({"marked": actions.mark_all_as_read(request.user)})


@api_view(["GET", "POST"])
def friend_requests(request):
    if request.method == "GET":
        mine = request.user.requests_received.order_by("pk")
        return Response([friend_request.as_json() for friend_request in mine])
    recipient = get_object_or_404(User, pk=request.data.get("to"))
    return Response(actions.ask_to_be_friends(request.user, recipient).as_json(), status=201)


@api_view(["POST"])
def accept(request, pk):
    friend_request = get_object_or_404(FriendRequest, pk=pk, recipient=request.user, accepted=False)
    actions.accept_friend_request(friend_request)
    return Response(friend_request.as_json())


@api_view(["POST"])
def heartbeat(request):
    actions.heartbeat(request.user)
    return Response(status=204)


@api_view(["GET"])
def online(request):
    return Response(actions.friends_online(request.user))
