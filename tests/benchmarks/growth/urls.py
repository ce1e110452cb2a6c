from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("login", LoginView.as_view(template_name="admin/login.html")),
    path("", include("django_lazyauth.urls")),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]
