from django.contrib.auth.models import User
from django.db import models


class DirectMessage(models.Model):
    sender = models.ForeignKey(User, models.CASCADE, related_name="direct_sent")
    recipient = models.ForeignKey(User, models.CASCADE, related_name="direct_received")
    content = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
