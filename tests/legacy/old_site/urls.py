"""A home page that says who is signed in, with the button of the app that signs in; later, ours beside it."""

from django.conf import settings
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path

BEGIN = {"allauth": "/accounts/oidc/corporate/login/", "social-auth": "/login/oidc/"}


def home(request):
    who = request.user.pk if request.user.is_authenticated else "nobody"
    return HttpResponse(
        f"<h1>user {who}</h1><form method=post action='{BEGIN[settings.APP]}'>"
        f"<input type=hidden name=csrfmiddlewaretoken value={get_token(request)}><button>Sign in</button></form>"
    )


urlpatterns = [path("", home)]
if settings.APP == "allauth":
    urlpatterns += [path("accounts/", include("allauth.urls"))]
else:
    urlpatterns += [path("", include("social_django.urls"))]
if settings.IS_AFTER:
    urlpatterns += [path("", include("django_lazyauth.urls"))]
