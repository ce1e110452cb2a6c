"""The form of a client that an operator made: its row, and the metadata that stand beside it."""

from __future__ import annotations

import json
from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidClientMetadata, InvalidRedirectUri
from django_lazyauth.toolkit import client_methods, client_policies, clients

from . import rooms

#: What an operator asks of a client beyond the usual.
POLICY_FIELDS: Final = (
    client_methods.ALGORITHM_MEMBER,
    client_policies.BOUND_MEMBER,
    client_policies.PUSH_MEMBER,
    client_policies.SIGN_MEMBER,
    client_policies.REQUEST_ALGORITHM_MEMBER,
    client_policies.MAX_AGE_MEMBER,
    client_policies.ACR_MEMBER,
)
#: Members of the metadata that the form has a field for.
FIELDS: Final = (
    "backchannel_logout_uri",
    "logo_uri",
    "grant_types",
    "jwks",
    "jwks_uri",
    *POLICY_FIELDS,
)
KEY_FIELDS: Final = ("jwks", "jwks_uri", "keeps_secret")


def _algorithms() -> list[tuple[str, str]]:
    return [("", "---------"), *((name, name) for name in rooms.assertion.ALGORITHMS)]


class _Decoder(json.JSONDecoder):
    """Calls JSON that is nested too deeply invalid. Django would let the page fail."""

    def decode(self, s: str, *args: Any) -> Any:
        try:
            return super().decode(s, *args)
        except RecursionError:
            raise json.JSONDecodeError("too deep", s, 0) from None


class KeysField(forms.JSONField):
    """Keys as JSON. Where there are none, the field is empty: Django would show ``null``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(decoder=_Decoder, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


class ClientForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's own takes no type argument at run time.
    """A client that an operator made, with the settings that stand beside its row."""

    backchannel_logout_uri = forms.CharField(
        required=False,
        label=_("Back-channel logout URI"),
        help_text=_("Is told when a session ends. https, and reachable from this site."),
        widget=forms.TextInput(attrs={"size": 80}),
    )

    logo_uri = forms.URLField(
        required=False,
        assume_scheme="https",
        max_length=2048,
        label=_("Address of its logo"),
        help_text=_(
            "https. A PNG, JPEG, GIF or WebP of at most 64 KiB, which is fetched once and kept here."
        ),
        widget=forms.TextInput(attrs={"size": 80}),
    )

    grant_types = forms.MultipleChoiceField(
        required=False,
        label=_("Grants"),
        help_text=_("Replace the grant above. None: that one, and refresh tokens."),
        choices=[(name, name) for name in clients.OPERATORS_GRANTS],
        widget=forms.CheckboxSelectMultiple,
    )
    jwks = KeysField(
        required=False,
        label=_("Public keys"),
        help_text=_("A JWK or a key set, as JSON. From then on its secret does nothing."),
        widget=forms.Textarea(attrs={"rows": 6, "cols": 80, "spellcheck": "false"}),
    )
    jwks_uri = forms.CharField(
        required=False,
        label=_("Address of its keys"),
        help_text=_(
            "In place of keys: where the client publishes them. https, and reachable from this site."
        ),
        widget=forms.TextInput(attrs={"size": 80}),
    )
    keeps_secret = forms.BooleanField(
        required=False,
        label=_("Its secret works too"),
        help_text=_("While the client moves to keys."),
    )

    token_endpoint_auth_signing_alg = forms.ChoiceField(
        required=False,
        label=_("Signs with"),
        help_text=_("Its assertions are taken with this algorithm only."),
        choices=_algorithms,
    )
    dpop_bound_access_tokens = forms.BooleanField(
        required=False,
        label=_("Only tokens that are bound to its key"),
        help_text=_("Refuse its token requests without a DPoP proof (RFC 9449)."),
    )
    require_pushed_authorization_requests = forms.BooleanField(
        required=False,
        label=_("Pushed requests only"),
        help_text=_("Refuse its authorization requests that were not pushed (RFC 9126)."),
    )
    require_signed_request_object = forms.BooleanField(
        required=False,
        label=_("Signed requests only"),
        help_text=_("Refuse its authorization requests that are not signed (RFC 9101)."),
    )
    request_object_signing_alg = forms.ChoiceField(
        required=False,
        label=_("Signs requests with"),
        help_text=_("Its signed requests are taken with this algorithm only."),
        choices=_algorithms,
    )
    default_max_age = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=10**9 - 1,
        label=_("A sign-in counts for"),
        help_text=_("Seconds, where its request names none. Whoever signed in earlier signs in again."),
    )

    default_acr_values = forms.CharField(
        required=False,
        label=_("A sign-in is at least"),
        help_text=_(
            "Authentication classes with blanks between them, the best first, where its request names none."
        ),
        widget=forms.TextInput(attrs={"size": 80}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        #: What was typed as URIs of each field that our rule allows.
        self._allowed: dict[str, str] = {}
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            registration = clients.registration_of(self.instance)
            known = registration.metadata if registration is not None else {}
            self.initial.update({name: known[name] for name in FIELDS if name in known})
            self.initial[client_policies.ACR_MEMBER] = " ".join(
                client_policies.default_acr_values(self.instance)
            )
            methods = client_methods.methods_in(known)
            self.initial["keeps_secret"] = client_methods.BY_KEY in methods and client_methods.has_secret_by(
                known
            )

    def clean_redirect_uris(self) -> str:
        return self._clean_uris("redirect_uris")

    def clean_post_logout_redirect_uris(self) -> str:
        return self._clean_uris("post_logout_redirect_uris")

    def _clean_uris(self, name: str) -> str:
        """Check the URIs by the rule of registrations. A URI that breaks it would be refused at each sign-in."""
        text = str(self.cleaned_data[name])
        uris, policy = text.split(), rooms.registration.metadata_policy()
        try:
            rooms.metadata.check_redirect_uris(uris, policy)
            if name == "redirect_uris" and not clients.is_self_registered(self.instance):
                rooms.members.check_sector(uris, policy)
        except (InvalidClientMetadata, InvalidRedirectUri) as error:
            raise forms.ValidationError(error.description) from None
        self._allowed[name] = text
        return text

    def full_clean(self) -> None:
        """Drop what django-oauth-toolkit says of URIs that our rule allows: it knows no scheme of an app.

        It knows one grant of a client, too. Those that are chosen here decide whether a redirect URI is needed.
        """
        super().full_clean()
        if self.is_bound and hasattr(self, "cleaned_data"):
            self._check_that_codes_have_an_end()
        for name, text in self._allowed.items():
            if text.strip() and name in self.errors:
                del self.errors[name]
                self.cleaned_data[name] = text

    def clean_require_signed_request_object(self) -> bool:
        wanted = bool(self.cleaned_data[client_policies.SIGN_MEMBER])
        if wanted and not lazyauth_settings.request_objects:
            raise forms.ValidationError(
                _("This site takes no signed requests: see the setting REQUEST_OBJECTS.")
            )
        return wanted

    def clean_default_acr_values(self) -> list[str]:
        values = list(dict.fromkeys(str(self.cleaned_data["default_acr_values"]).split()))
        try:
            rooms.members.acr_values({client_policies.ACR_MEMBER: values})
        except InvalidClientMetadata as error:
            raise forms.ValidationError(error.description) from None
        return values

    def _check_that_codes_have_an_end(self) -> None:
        grants = self.cleaned_data.get("grant_types")
        if not grants or self._allowed.get("redirect_uris", "").strip() or "redirect_uris" not in self.fields:
            return
        if "redirect_uris" in self.errors and "redirect_uris" in self._allowed:
            del self.errors["redirect_uris"]
            self.cleaned_data["redirect_uris"] = ""
        if "authorization_code" in grants and "redirect_uris" not in self.errors:
            self.add_error("redirect_uris", _("The grant authorization_code ends at one."))

    def clean_backchannel_logout_uri(self) -> str:
        uri = str(self.cleaned_data["backchannel_logout_uri"])
        try:
            if uri:
                allows_loopback = lazyauth_settings.allow_loopback_upstreams
                rooms.members.check_backchannel_logout_uri(uri, allows_loopback=allows_loopback)
        except InvalidClientMetadata as error:
            raise forms.ValidationError(error.description) from None
        return uri

    def clean_jwks(self) -> dict[str, Any] | None:
        """Check pasted keys by the rule of registrations. A single key becomes a set of one, of which keys are kept."""
        given = self.cleaned_data["jwks"]
        if isinstance(given, dict) and "kty" in given:
            given = {"keys": [given]}
        self._check_keys("jwks", given)
        return {"keys": given["keys"]} if given else None

    def clean_jwks_uri(self) -> str:
        uri = str(self.cleaned_data["jwks_uri"])
        self._check_keys("jwks_uri", uri)
        if uri and self.cleaned_data.get("jwks"):
            raise forms.ValidationError(_("Either keys or their address."))
        return uri

    def _check_keys(self, name: str, value: Any) -> None:
        if not value:
            return
        try:
            is_good = rooms.members.has_keys({name: value}, rooms.registration.metadata_policy())
        except InvalidClientMetadata as error:
            raise forms.ValidationError(error.description) from None
        if not is_good:
            raise forms.ValidationError(
                _("No key can be used here. It may be RSA of 2048 bits or more, EC P-256 or Ed25519.")
                if name == "jwks"
                else _("It must be an https URL.")
            )

    def metadata(self) -> dict[str, Any]:
        """Return the members that stand beside the client; ``None`` removes one.

        Its methods stay as they are where nothing of its keys was changed here: a host may have set others.
        """
        given = self.cleaned_data
        members = {name: None if _is_empty(given.get(name)) else given[name] for name in FIELDS}
        if not set(KEY_FIELDS).isdisjoint(self.changed_data):
            has_both = bool(members["jwks"] or members["jwks_uri"]) and given.get("keeps_secret")
            methods = [client_methods.BY_KEY, *client_methods.BY_SECRET]
            members[client_methods.METHODS_MEMBER] = methods if has_both else None
        return members


def _is_empty(value: Any) -> bool:
    """Say whether an operator left a field as it is without a wish. Zero is one."""
    return not value and type(value) is not int
