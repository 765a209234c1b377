"""Three users to play with; the password of each is `outrigger`."""

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand

PEOPLE = [("jose", "José", "Ångström"), ("zoe", "Zoë", "O'Neil 🚣"), ("lilei", "雷", "李")]


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args, **options):
        password = make_password("outrigger")
        for username, first_name, last_name in PEOPLE:
            defaults = {"first_name": first_name, "last_name": last_name, "password": password}
            User.objects.get_or_create(username=username, defaults=defaults)
