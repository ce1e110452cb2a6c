from django.urls import include, path

from .dot_api import whoami

urlpatterns = [path("api/", whoami), path("", include("django_lazyauth.urls"))]
