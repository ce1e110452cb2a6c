"""The upstream as an app: its pages, its static files, its command."""

from django.apps import AppConfig


class UpstreamConfig(AppConfig):
    name = "example_project.upstream"
    label = "upstream"
