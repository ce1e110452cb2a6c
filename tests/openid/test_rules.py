"""A rule says where a value is. It is refused when the configuration is read, and never when it meets JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_lazyauth.openid.provider_kinds import Wrong
from django_lazyauth.openid.rules import (
    Documents,
    Each,
    Path,
    Where,
    as_text,
    check_subject,
    find,
    find_subject,
    is_one_of,
    parse,
    parse_path,
)
from tests.support.examples import examples

PERSON = {
    "sub": "p",
    "name": "Ada",
    "given": "Ada",
    "family": "Lovelace",
    "none": None,
    "https://a.example/team id": "T1",
    "number": 7,
    "data": {"user": {"id": "u-1"}},
    "emails": [
        {"value": "a@b", "primary": False, "n": 1},
        {"value": "c@d", "primary": True, "n": 2},
        "odd",
        {"value": None},
    ],
}


def values(rule, **documents):
    return [found.value for found in find(parse(rule), Documents(**(documents or {"userinfo": PERSON})))]


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("name", ["Ada"]),
        ("none", []),
        ("absent", []),
        ("name.deeper", []),
        ("data.user.id", ["u-1"]),
        ('["https://a.example/team id"]', ["T1"]),
        ('userinfo:["data"].user["id"]', ["u-1"]),
        ("emails[0].value", ["a@b"]),
        ("emails[9].value", []),
        ("emails[*].value", [["a@b", "c@d"]]),
        ("emails[*].absent", []),
        ("emails[primary=true].value", ["c@d"]),
        ("emails[n=1].value", ["a@b"]),
        ('emails[value="c@d"].n', [2]),
        ("emails[primary=1].value", []),
        ("name[0]", []),
        (["absent", "name", "number"], ["Ada", 7]),
        ({"value": True}, [True]),
        ({"join": ["given", "absent", "family"]}, ["Ada Lovelace"]),
        ({"join": ["given", "absent"], "all": True}, []),
        ({"join": ["number", "sub"], "with": ":", "all": True}, ["7:p"]),
        ({"join": ["absent"]}, []),
        (["absent", {"join": ["given", "family"], "with": "-"}], ["Ada-Lovelace"]),
    ],
)
def test_a_rule_finds_its_values(rule, found):
    assert values(rule) == found


def test_a_path_without_source_means_the_id_token_and_then_userinfo():
    documents = {"id_token": {"a": 1}, "userinfo": {"a": 2, "b": 3}, "token": {"c": 4}, "answer": {"d": 5}}
    assert values("a", **documents) == [1, 2]
    assert values("b", **documents) == [3]
    assert values("userinfo:a", **documents) == [2]
    assert values("c", **documents) == []
    assert values("token:c", **documents) == [4]
    assert values("answer:d", **documents) == [5]


def test_a_join_does_not_mix_two_documents():
    documents = Documents(id_token={"given": "Ada"}, userinfo={"given": "Eve", "family": "Evil"})
    found = list(find(parse({"join": ["given", "family"]}), documents))
    assert [(one.value, one.source) for one in found] == [("Ada", "id_token"), ("Eve Evil", "userinfo")]


@pytest.mark.parametrize(
    "rule",
    [
        "",
        ".",
        "a.",
        "a..b",
        ".a",
        "a b",
        "a[",
        "a[x]",
        "a[-1]",
        "a.[0]",
        "a[0]b",
        'a["]',
        "a[b=c]",
        "id_token:",
        "nowhere:a",
        "https://a.example/x",
        "a" * 201,
        ".".join("abcdefghi"),
        7,
        None,
        True,
        [],
        ["a"] * 17,
        [["a"] * 9, ["a"] * 9],
        {},
        {"value": None},
        {"value": 1.5},
        {"value": 1, "join": ["a"]},
        {"join": "a"},
        {"join": []},
        {"join": [["a"]]},
        {"join": ["a"], "with": 7},
        {"join": ["a"], "all": 1},
        {"join": ["a"], "wiht": ":"},
        {7: "a"},
    ],
)
def test_what_is_no_rule_is_refused(rule):
    with pytest.raises(Wrong):
        parse(rule)


def test_a_typo_in_a_join_is_named_with_its_correction():
    with pytest.raises(Wrong, match='unknown key "wiht"; did you mean "with"'):
        parse({"join": ["a"], "wiht": ":"})


def test_a_path_is_read_into_its_segments():
    assert parse_path('token:a-b[*][0]["c d"][e=false]') == Path(
        "token", ("a-b", Each(), 0, "c d", Where("e", False))
    )


# --- The subject ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        ("p", "p"),
        (7, "7"),
        (10**254, str(10**254)),
        (-3, "-3"),
        ("x" * 255, "x" * 255),
        ("x" * 256, ""),
        (10**255, ""),
        (10**4000, ""),
        ("", ""),
        (True, ""),
        (1.0, ""),
        (["p"], ""),
        ({"a": 1}, ""),
        (None, ""),
        ("a\0b", ""),
        ("\ud800", ""),
    ],
)
def test_a_subject_is_a_text_or_an_integer(value, subject):
    """I5."""
    assert find_subject(parse("id"), Documents(userinfo={"id": value})) == subject


def test_no_two_people_get_one_subject_by_a_join():
    """I5: only the last part may hold the separator."""
    rule = parse({"join": ["team", "user"], "with": ":", "all": True})
    people = [
        {"team": team, "user": user} for team, user in [("a", "b:c"), ("a:b", "c"), ("a", ""), ("", "a")]
    ]
    subjects = [find_subject(rule, Documents(userinfo=person)) for person in people]
    assert subjects == ["a:b:c", "", "", ""]


@pytest.mark.parametrize(
    "rule",
    [
        {"value": "everybody"},
        ["id", {"value": "everybody"}],
        {"join": ["a", "b"], "with": ":"},
        {"join": ["a", "b"], "with": "", "all": True},
    ],
)
def test_a_rule_that_could_make_two_people_one_is_refused(rule):
    """I5."""
    with pytest.raises(Wrong):
        check_subject(parse(rule))


def test_one_is_not_true():
    assert is_one_of((True, "true"), True)
    assert not is_one_of((True, "true"), 1)
    assert is_one_of((1,), 1)
    assert not is_one_of((1,), True)


# --- Anything ---------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**4000),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("ab") | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)
SEGMENT = st.sampled_from(["a", "b", '["a"]', "[0]", "[1]", "[*]", "[a=true]", "[b=1]", '[a=""]'])
PATHS = st.builds(
    lambda source, first, rest: (
        source + first + "".join(one if one.startswith("[") else f".{one}" for one in rest)
    ),
    st.sampled_from(["", "id_token:", "userinfo:", "token:", "answer:"]),
    SEGMENT,
    st.lists(SEGMENT, max_size=7),
)
RULES = st.recursive(
    PATHS
    | st.builds(
        lambda paths, separator, needs_all: {"join": paths, "with": separator, "all": needs_all},
        st.lists(PATHS, min_size=1, max_size=3),
        st.sampled_from(["", ":", " "]),
        st.booleans(),
    )
    | st.builds(lambda value: {"value": value}, st.sampled_from(["x", 1, True])),
    lambda inner: st.lists(inner, min_size=1, max_size=3),
    max_leaves=4,
)


@hypothesis_settings(max_examples=examples(400), deadline=None)
@given(rule=RULES, documents=st.builds(Documents, JSON, JSON, JSON, JSON))
def test_no_json_makes_a_rule_raise(rule, documents):
    """I18."""
    parsed = parse(rule)
    for found in find(parsed, documents):
        assert found.value is not None
        as_text(found.value)
    assert len(find_subject(parsed, documents)) <= 255


@hypothesis_settings(max_examples=examples(400), deadline=None)
@given(rule=JSON | st.text(alphabet='ab.[]*=":0', max_size=12))
def test_whatever_is_written_is_a_rule_or_refused(rule):
    try:
        parse(rule)
    except Wrong:
        return
