"""What each provider of a preset answers about one person, and what of it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

EMAIL = "ann@corp.example"


@dataclass(frozen=True)
class Sample:
    """An answer, and the values that are read of it.

    Attributes:
        person: The claims of the ID token, or the answer of the userinfo endpoint of an OAuth 2.0 provider.
        addresses: The answer of the e-mail endpoint.
    """

    person: Any
    subject: str
    email: str
    verified: bool
    name: str
    addresses: Any = None


def openid(sub: str, *, verified: bool = True, **changes: Any) -> Sample:
    """The standard claims."""
    person = {"sub": sub, "email": EMAIL, "email_verified": True, "name": "Ann Lee", **changes}
    return Sample(person, sub, EMAIL, verified, "Ann Lee")


SAMPLES = {
    # Flag as text, and no name: it is in the first authorization response only.
    "apple": Sample(
        {"sub": "001.ab.1234", "email": EMAIL, "email_verified": "true", "is_private_email": "false"},
        "001.ab.1234",
        EMAIL,
        True,
        "",
    ),
    "auth0": openid("auth0|5f7c8ec7c33c6c004bbafe82", nickname="ann"),
    "battlenet": Sample({"sub": "1234567", "battle_tag": "Ann#1234"}, "1234567", "", False, "Ann#1234"),
    "cognito": Sample(
        {"sub": "aaaa-bbbb", "cognito:username": "ann", "email": EMAIL, "email_verified": True},
        "aaaa-bbbb",
        EMAIL,
        True,
        "ann",
    ),
    "gitlab": openid("4711", nickname="ann", groups_direct=["corp"]),
    "google": openid("110169484474386276334", hd="corp.example", given_name="Ann"),
    "huggingface": Sample(
        {"sub": "62264be6", "preferred_username": "ann", "email": EMAIL, "email_verified": True},
        "62264be6",
        EMAIL,
        True,
        "ann",
    ),
    "keycloak": openid("f:1:ann", preferred_username="ann", given_name="Ann"),
    "line": openid("U4af4980629", verified=False, amr=["linesso"], picture="https://profile.line.example/a"),
    "linkedin": openid("782bbtaQ", locale="en_US", given_name="Ann"),
    "microsoft": openid("AAAAAAAAAAAAAAAAAAAAAIkzqFVr", verified=False, tid="9122040d", oid="690222be"),
    "okta": openid("00uid4BxXw6I6TV4m0g3", preferred_username=EMAIL, ver=1),
    "salesforce": openid("https://login.salesforce.com/id/00D1/0051", user_id="0051"),
    "slack": Sample(
        {
            "sub": "U0R7JM",
            "https://slack.com/team_id": "T0R7GR",
            "https://slack.com/user_id": "U0R7JM",
            "email": EMAIL,
            "email_verified": True,
            "name": "Ann Lee",
        },
        "T0R7GR:U0R7JM",
        EMAIL,
        True,
        "Ann Lee",
    ),
    "twitch": Sample(
        {"sub": "713936733", "email": EMAIL, "email_verified": True, "preferred_username": "annstreams"},
        "713936733",
        EMAIL,
        True,
        "annstreams",
    ),
    "yahoo": openid("FSVIDUW3D7FSVIDUW3D72F2F", nickname="Ann"),
    "atlassian": Sample(
        {
            "account_id": "99:27935d01",
            "email": EMAIL,
            "email_verified": True,
            "nickname": "ann",
        },
        "99:27935d01",
        EMAIL,
        False,
        "ann",
    ),
    "bitbucket": Sample(
        {"account_id": "557058:c0", "uuid": "{c788b2da}", "display_name": "Ann Lee", "username": "ann"},
        "557058:c0",
        EMAIL,
        True,
        "Ann Lee",
        {
            "values": [
                {"email": "old@corp.example", "is_primary": False, "is_confirmed": True},
                {"email": EMAIL, "is_primary": True, "is_confirmed": True},
            ]
        },
    ),
    "box": Sample(
        {"type": "user", "id": "11446498", "name": "Ann Lee", "login": EMAIL},
        "11446498",
        EMAIL,
        False,
        "Ann Lee",
    ),
    "discord": Sample(
        {
            "id": "80351110224678912",
            "username": "ann",
            "global_name": "Ann Lee",
            "email": EMAIL,
            "verified": True,
        },
        "80351110224678912",
        EMAIL,
        True,
        "Ann Lee",
    ),
    "dropbox": Sample(
        {
            "account_id": "dbid:AAH4f99T0t",
            "name": {"given_name": "Ann", "display_name": "Ann Lee"},
            "email": EMAIL,
            "email_verified": True,
            "disabled": False,
        },
        "dbid:AAH4f99T0t",
        EMAIL,
        True,
        "Ann Lee",
    ),
    "facebook": Sample(
        {"id": "10158", "name": "Ann Lee", "email": EMAIL, "email_verified": True},
        "10158",
        EMAIL,
        False,
        "Ann Lee",
    ),
    "figma": Sample(
        {"id": "2586", "email": EMAIL, "handle": "Ann Lee", "img_url": "https://s3.example/a.png"},
        "2586",
        EMAIL,
        False,
        "Ann Lee",
    ),
    # A public profile without name and address.
    "github": Sample(
        {"id": 583231, "login": "ann", "name": None, "email": None},
        "583231",
        EMAIL,
        True,
        "ann",
        [
            {"email": "old@corp.example", "primary": False, "verified": True, "visibility": None},
            {"email": EMAIL, "primary": True, "verified": True, "visibility": "private"},
        ],
    ),
    # The answer of an introspection. The user is named by the address.
    "hubspot": Sample(
        {"active": True, "token_type": "access", "user": EMAIL, "hub_id": 62515, "user_id": 123},
        "62515:123",
        EMAIL,
        False,
        EMAIL,
    ),
    "kakao": Sample(
        {
            "id": 123456789,
            "properties": {"nickname": "ann"},
            "kakao_account": {
                "profile": {"nickname": "Ann Lee"},
                "email": EMAIL,
                "is_email_valid": True,
                "is_email_verified": True,
            },
        },
        "123456789",
        EMAIL,
        True,
        "Ann Lee",
    ),
    "linear": Sample(
        {"data": {"viewer": {"id": "9cfb482a", "name": "Ann Lee", "email": EMAIL}}},
        "9cfb482a",
        EMAIL,
        False,
        "Ann Lee",
    ),
    "naver": Sample(
        {
            "resultcode": "00",
            "message": "success",
            "response": {"id": "32742776", "email": EMAIL, "nickname": "ann", "name": "Ann Lee"},
        },
        "32742776",
        EMAIL,
        False,
        "Ann Lee",
    ),
    "patreon": Sample(
        {
            "data": {
                "attributes": {"email": EMAIL, "full_name": "Ann Lee", "is_email_verified": True},
                "id": "12345689",
                "type": "user",
            }
        },
        "12345689",
        EMAIL,
        True,
        "Ann Lee",
    ),
    "paypal": Sample(
        {
            "user_id": "https://www.paypal.com/webapps/auth/identity/user/mWq6_1sU",
            "name": "Ann Lee",
            "emails": [
                {"value": "old@corp.example", "primary": False, "confirmed": False},
                {"value": EMAIL, "primary": True, "confirmed": True},
            ],
        },
        "https://www.paypal.com/webapps/auth/identity/user/mWq6_1sU",
        EMAIL,
        True,
        "Ann Lee",
    ),
    "reddit": Sample(
        {"id": "abc12", "name": "ann", "has_verified_email": True, "verified": True},
        "abc12",
        "",
        False,
        "ann",
    ),
    "spotify": Sample(
        {"id": "wizzler", "display_name": "Ann Lee", "email": EMAIL, "type": "user"},
        "wizzler",
        EMAIL,
        False,
        "Ann Lee",
    ),
    "strava": Sample(
        {"id": 227615, "username": "ann", "firstname": "Ann", "lastname": "Lee"},
        "227615",
        "",
        False,
        "Ann Lee",
    ),
    "tiktok": Sample(
        {
            "data": {"user": {"open_id": "723f24d7", "union_id": "c9c60f44", "display_name": "Ann Lee"}},
            "error": {"code": "ok", "message": "", "log_id": "2022"},
        },
        "723f24d7",
        "",
        False,
        "Ann Lee",
    ),
    # It gives an address only when the person confirmed it.
    "x": Sample(
        {"data": {"id": "2244994945", "name": "Ann Lee", "username": "ann", "confirmed_email": EMAIL}},
        "2244994945",
        EMAIL,
        True,
        "Ann Lee",
    ),
    "yandex": Sample(
        {"id": "1000034426", "login": "ann", "emails": [EMAIL], "real_name": "Ann Lee"},
        "1000034426",
        EMAIL,
        False,
        "Ann Lee",
    ),
    # The answer of the token endpoint.
    "notion": Sample(
        {
            "bot_id": "b3414d65",
            "workspace_id": "j565j4d7",
            "owner": {
                "type": "user",
                "user": {
                    "id": "c2f20311",
                    "name": "Ann Lee",
                    "type": "person",
                    "person": {"email": EMAIL},
                },
            },
        },
        "c2f20311:j565j4d7",
        EMAIL,
        False,
        "Ann Lee",
    ),
    "vk": Sample(
        {
            "user": {
                "user_id": "1234567890",
                "first_name": "Ann",
                "last_name": "Lee",
                "email": EMAIL,
                "verified": True,
            }
        },
        "1234567890",
        EMAIL,
        False,
        "Ann Lee",
    ),
    "wechat": Sample(
        {
            "openid": "o6_bmjrPTlm6",
            "unionid": "o6_bmasdasdsad6",
            "nickname": "Ann Lee",
            "sex": 0,
            "privilege": [],
        },
        "o6_bmasdasdsad6",
        "",
        False,
        "Ann Lee",
    ),
    # The flag is a number.
    "zoom": Sample(
        {"id": "zJKyaiAyTNC", "first_name": "Ann", "last_name": "Lee", "email": EMAIL, "verified": 1},
        "zJKyaiAyTNC",
        EMAIL,
        True,
        "Ann Lee",
    ),
}
