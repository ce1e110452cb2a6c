"""A user follows their account at a provider as ``user_fields``, ``sync`` and ``sync_fields`` say."""

from __future__ import annotations

import logging

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import FloatField
from django.db.models.signals import pre_save

from django_lazyauth.errors import RegistrationRefused
from django_lazyauth.models import ProviderIdentity
from tests.benchmarks.cost import counting
from tests.support.journey import query_of

from .conftest import sign_in_upstream
from .test_returning import acme, at_callback, code_of  # noqa: F401 - `acme` is a fixture
from .test_returning import sign_in_upstream as again

pytestmark = pytest.mark.django_db(transaction=True)

User = get_user_model()
ADA = {"given_name": "Ada", "family_name": "Lovelace"}
KING = {"given_name": "Augusta", "family_name": "King", "email": "king@acme.example"}


@pytest.fixture
def person(acme, upstream, client_):  # noqa: F811 - the fixture
    """Sign Ada in with these keys; return the function that signs her in again, and says who she is then."""

    def first(claims=None, **keys):
        acme(**{"userinfo": "never"} | keys)
        upstream.control(claims=ADA if claims is None else claims)
        sign_in_upstream(upstream, client_)

        def later(**claims):
            upstream.control(claims=claims)
            again(upstream, client_)
            return user()

        return later

    return first


def user():
    return User.objects.get(provider_identities__provider="acme")


def names():
    return User.objects.values_list("first_name", "last_name").get()


# --- A new user -----------------------------------------------------------------------------------------------


def test_a_new_user_has_the_names_of_the_standard_claims(person):
    person()
    assert names() == ("Ada", "Lovelace")


def test_a_rule_fills_a_field_and_the_other_standard_name_stays(person):
    rule = {"join": ["nick", "given_name"], "with": "/"}
    person(claims=ADA | {"nick": "Countess"}, user_fields={"first_name": rule})
    assert names() == ("Countess/Ada", "Lovelace")


def test_a_name_that_is_not_wanted_is_a_constant(person):
    person(user_fields={"last_name": {"value": ""}})
    assert names() == ("Ada", "")


@pytest.mark.parametrize("odd", ["x" * 151, "a\0b", ["Ada"], {"Ada": 1}, True, None])
def test_a_value_that_the_field_refuses_is_skipped_and_named_in_the_log(person, caplog, odd):
    caplog.set_level(logging.INFO, "django_lazyauth.upstream")
    person(claims=ADA | {"given_name": odd})
    assert names() == ("", "Lovelace")
    if odd == "x" * 151 or odd is True:
        assert caplog.text.count("first_name of the user is not used") == 1
        assert "xxx" not in caplog.text


def test_a_number_is_a_text_in_a_field_of_text(person):
    person(claims=ADA | {"given_name": 7})
    assert names() == ("7", "Lovelace")


def test_userinfo_is_asked_for_a_field_that_the_id_token_does_not_fill(person, upstream):
    """OpenID Connect Core §5.4."""
    upstream.control(userinfo={"nick": "Countess"})
    person(user_fields={"first_name": "nick"}, userinfo="auto")
    assert names() == ("Countess", "Lovelace")
    assert len(upstream.requests("/userinfo")) == 1


def test_the_standard_names_alone_cost_no_request(person, upstream):
    """An ID token that has the name has what belongs to it."""
    person(claims={}, userinfo="auto")
    assert upstream.requests("/userinfo") == []


def test_the_name_that_apple_posts_may_be_a_name_only(acme, upstream):  # noqa: F811 - the fixture
    from django_lazyauth.openid.descriptor import DescriptorError, descriptor_from_settings

    rule = ["given_name", "answer:user.name.firstName"]
    kept = {"response_mode": "form_post", "answer_params": {"user": "json"}}
    descriptor_from_settings("apple", upstream.config(user_fields={"first_name": rule}, **kept))
    with pytest.raises(DescriptorError, match='"user_fields" cannot be of "answer:"'):
        descriptor_from_settings("apple", upstream.config(user_fields={"nickname": rule}, **kept))


# --- A user who comes back ------------------------------------------------------------------------------------


def test_import_leaves_a_user_who_comes_back(person):
    person()(**KING)
    assert names() == ("Ada", "Lovelace")


def test_update_writes_what_the_provider_says_now(person):
    assert person(sync="update")(**KING).first_name == "Augusta"
    assert names() == ("Augusta", "King")
    assert user().email == "person-1@acme.example", "an address follows only where it is named"


def test_update_writes_the_named_fields_only(person):
    person(sync="update", sync_fields=["last_name"])(**KING)
    assert names() == ("Ada", "King")


def test_what_the_person_changed_is_theirs_from_then_on(person):
    later = person(sync="update")
    User.objects.update(first_name="Ada A.")
    later(**KING)
    assert names() == ("Ada A.", "King")
    later(**ADA | {"given_name": "Ada A."})
    later(**KING)
    assert names() == ("Ada A.", "King")


def test_what_the_provider_does_not_say_any_more_stays(person):
    person(sync="update")()
    assert names() == ("Ada", "Lovelace")


def test_an_empty_field_is_filled(person):
    later = person(claims={}, sync="update")
    assert names() == ("", "")
    later(**KING)
    assert names() == ("Augusta", "King")


def test_a_field_that_the_person_emptied_stays_empty(person):
    later = person(sync="update")
    User.objects.update(first_name="")
    later(**KING)
    assert names() == ("", "King")


def test_a_user_of_before_the_digests_follows_once_they_hold_what_is_said(person):
    later = person(sync="update")
    ProviderIdentity.objects.update(written=None)
    later(**KING)
    assert names() == ("Ada", "Lovelace"), "nobody knows who wrote it"
    later(**ADA)
    later(**KING)
    assert names() == ("Augusta", "King")


def test_i13_a_dump_shows_no_value_that_we_wrote(person, settings):
    """The digests are keyed. A key that was rotated still knows them."""
    later = person(sync="update")
    written = ProviderIdentity.objects.get().written
    assert set(written) == {"first_name", "last_name", "email"}
    assert "Ada" not in str(written)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-key-of-this-site-that-is-long-enough-for-django"
    later(**KING)
    assert names() == ("Augusta", "King")
    assert ProviderIdentity.objects.get().written["first_name"] != written["first_name"]


def test_a_key_that_is_gone_overwrites_nothing(person, settings):
    later = person(sync="update")
    settings.SECRET_KEY = "another-key-of-this-site-that-is-long-enough-for-django"
    later(**KING)
    assert names() == ("Ada", "Lovelace")


def test_another_account_of_the_person_overwrites_nothing(person, upstream, client_, settings, lazyauth):
    """Names do not change with the account that somebody happens to sign in with."""
    person(sync="update")
    entry = settings.LAZYAUTH["PROVIDERS"]["acme"] | {"accounts_of": False}
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"twin": entry})
    ProviderIdentity.objects.create(user=user(), provider="twin", subject="person-1")
    upstream.control(claims=KING)
    for _ in range(2):
        sign_in_upstream(upstream, client_, provider="twin")
    assert ProviderIdentity.objects.get(is_default=True).provider == "twin"
    assert names() == ("Ada", "Lovelace")


def test_an_entry_with_the_accounts_of_another_follows_as_that_one_says(
    person, upstream, client_, settings, lazyauth
):
    person(sync="update")
    entry = settings.LAZYAUTH["PROVIDERS"]["acme"] | {"accounts_of": "acme", "sync": "import"}
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"files": entry})
    upstream.control(claims=KING)
    sign_in_upstream(upstream, client_, provider="files")
    assert names() == ("Augusta", "King")


def test_an_update_that_has_nothing_to_do_costs_no_statement_more(person, upstream, client_):
    later = person(sync="update")
    later(**ADA)
    with counting(connection) as cost:
        at_callback(upstream, client_)
    ours = [sql.partition(" ")[0] for sql in cost.statements if "lazyauth_provideridentity" in sql]
    assert ours == ["SELECT", "UPDATE", "SELECT"]


def test_who_was_written_since_follows_in_the_exchange(acme, upstream, client_):  # noqa: F811 - the fixture
    from tests.support.journey import redeem

    acme(sync="update", userinfo="never")
    codes = [code_of(upstream, client_, claims=ADA), code_of(upstream, client_, claims=KING)]
    for code in codes:
        assert redeem(client_, code).status_code == 200
    assert names() == ("Augusta", "King")


# --- The address ----------------------------------------------------------------------------------------------

NAMED = {"sync": "update", "sync_fields": ["first_name", "email"]}


def test_a_verified_address_follows_where_it_is_named(person):
    assert person(**NAMED)(**KING).email == "king@acme.example"


def test_an_address_that_nobody_verified_does_not_follow(person):
    assert person(**NAMED)(**KING | {"email_verified": False}).email == "person-1@acme.example"


def test_i6_an_address_of_somebody_else_does_not_follow(person, caplog):
    """I6: and nobody is merged. The rest follows."""
    caplog.set_level(logging.INFO, "django_lazyauth.upstream")
    User.objects.create_user("somebody", email="King@Acme.example")
    later = person(**NAMED)
    assert later(**KING).email == "person-1@acme.example"
    assert user().first_name == "Augusta"
    assert "somebody else has what acme says" in caplog.text
    assert "king@" not in caplog.text.lower()


def test_an_address_that_was_taken_at_this_moment_leaves_the_old_one(person, caplog):
    """The constraint of the database decides, and the sign-in goes on."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX one_address ON auth_user (email)")

    def take(sender, instance, **kwargs):
        if instance.email == "king@acme.example":
            pre_save.disconnect(take, sender=User)
            User.objects.bulk_create([User(username="faster", email="king@acme.example")])

    later = person(**NAMED)
    pre_save.connect(take, sender=User)
    try:
        assert later(**KING).email == "person-1@acme.example"
    finally:
        pre_save.disconnect(take, sender=User)
        User.objects.filter(username="faster").delete()
        with connection.cursor() as cursor:
            cursor.execute(
                "DROP INDEX one_address" + (" ON auth_user" if connection.vendor == "mysql" else "")
            )
    assert user().first_name == "Augusta"
    assert "what acme says cannot be saved (IntegrityError)" in caplog.text
    identity = ProviderIdentity.objects.get()
    assert identity.email == "king@acme.example", "the account is described all the same"
    assert later(**KING).email == "king@acme.example", "the next sign-in tries again"


def test_a_placeholder_gives_way_to_a_verified_address(person, lazyauth, monkeypatch):
    monkeypatch.setattr("django_lazyauth.users.resolver.needs_address", lambda: True)
    lazyauth(UNVERIFIED_EMAIL="placeholder")
    later = person(claims=ADA | {"email_verified": False}, **NAMED)
    assert user().email.endswith(".invalid")
    assert later(**KING).email == "king@acme.example"


# --- The host's own function ----------------------------------------------------------------------------------

calls = []


def own(user, identity, changed):
    calls.append((user.pk, identity.provider, changed))
    if identity.name == "Nobody":
        raise RegistrationRefused("Not under this name.")
    user.first_name = identity.name.upper()
    return ["first_name"]


def test_a_function_of_the_host_is_asked_at_each_sign_in(person):
    calls.clear()
    later = person(sync=f"{__name__}.own", claims=ADA | {"name": "Ada L."})
    assert names() == ("ADA L.", "Lovelace")
    later(**ADA | {"name": "Ada K."})
    assert names() == ("ADA K.", "Lovelace")
    later(**ADA | {"name": "Ada K."})
    pk = user().pk
    assert calls == [
        (pk, "acme", {"email", "email_verified", "name"}),
        (pk, "acme", {"name"}),
        (pk, "acme", frozenset()),
    ]


def test_a_function_of_the_host_may_refuse(person, upstream, client_):
    person(sync=own)
    _, answer = at_callback(upstream, client_, claims=ADA | {"name": "Nobody"})
    asked = query_of(answer.headers["Location"])
    assert asked["error"] == "access_denied"
    assert asked["error_description"].startswith("Not under this name.")
    assert ProviderIdentity.objects.get().name == "Name of person-1"


def test_i3_a_function_that_refuses_a_new_person_leaves_nothing(acme, upstream, client_):  # noqa: F811 - the fixture
    from tests.support.journey import redeem

    acme(sync=own)
    code = code_of(upstream, client_, claims=ADA | {"name": "Nobody"})
    answer = redeem(client_, code)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert not User.objects.exists()
    assert not ProviderIdentity.objects.exists()


def test_a_function_may_write_nothing(person):
    person(sync=lambda user, identity, changed: None)
    assert names() == ("Ada", "Lovelace")


def deactivate(user, identity, changed):
    if identity.name == "Nobody":
        user.is_active = False
        return ["is_active"]
    return []


NOBODY = ADA | {"name": "Nobody"}


@pytest.mark.parametrize("is_known", [True, False])
def test_i21_a_function_that_deactivates_the_person_ends_the_sign_in_and_the_client_hears_why(
    person,
    acme,  # noqa: F811 - the fixture
    upstream,
    client_,
    lazyauth,
    is_known,
):
    lazyauth(REGISTRATION="immediate")
    if is_known:
        person(sync=deactivate)
    acme(sync=deactivate)
    _, answer = at_callback(upstream, client_, claims=NOBODY)
    asked = query_of(answer.headers["Location"])
    assert asked["error"] == "access_denied"
    assert asked["error_description"].startswith("This account may not sign in.")
    assert list(User.objects.values_list("is_active", flat=True)) == [False] * is_known


def test_a_function_that_deactivates_a_new_person_ends_the_sign_in(acme, upstream, client_):  # noqa: F811 - the fixture
    """I18: it is no error of the server."""
    from tests.support.journey import redeem

    acme(sync=deactivate)
    upstream.control(claims=NOBODY)
    answer = redeem(client_, code_of(upstream, client_))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert answer.json()["error_description"] == "This account may not sign in."


@pytest.mark.parametrize("odd", ["nan", "inf", "-Infinity"])
def test_a_number_that_is_none_refuses_nobody(person, monkeypatch, odd):
    """Some databases store it as NULL, and some refuse it."""
    monkeypatch.setattr(User._meta.get_field("first_name"), "clean", FloatField().clean)
    person(claims=ADA | {"given_name": odd}, sync="update")
    assert names() == ("", "Lovelace")


def test_a_user_who_cannot_be_saved_as_they_are_may_sign_in(person, caplog):
    """A user model may validate what it saves, as ``full_clean`` does. It refuses what is new, and not the person."""

    def validate(sender, instance, **kwargs):
        if instance.first_name == "Augusta":
            raise ValidationError("no")

    later = person(sync="update")
    pre_save.connect(validate, sender=User)
    try:
        later(**KING)
    finally:
        pre_save.disconnect(validate, sender=User)
    assert names() == ("Ada", "Lovelace")
    assert "what acme says cannot be saved (ValidationError)" in caplog.text


def test_an_odd_validator_refuses_nobody(person, monkeypatch):
    def fail(value, instance):
        raise ValidationError("no")

    monkeypatch.setattr(User._meta.get_field("first_name"), "clean", fail)
    person(sync="update")(**KING)
    assert names() == ("", "King")
