"""The example site as an app: its pages, its static files, its commands."""

from django.apps import AppConfig


class ExampleConfig(AppConfig):
    name = "example_project"
    label = "example"
