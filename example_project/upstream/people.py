"""The demo's people: data, with the passwords that its sign-in page shows and the notes of its API."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    username: str
    password: str
    given_name: str
    family_name: str
    email: str
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}"


PEOPLE = (
    Person(
        username="ada",
        password="engine-1843",
        given_name="Ada",
        family_name="Lovelace",
        email="ada@demo.example",
        notes=("Note G: the engine can act upon other things besides number.",),
    ),
    Person(
        username="grace",
        password="compiler-1952",
        given_name="Grace",
        family_name="Hopper",
        email="grace@demo.example",
        notes=("First actual case of bug being found.", "A nanosecond is this long: 29.98 cm."),
    ),
    Person(
        username="alan",
        password="machine-1936",
        given_name="Alan",
        family_name="Turing",
        email="alan@demo.example",
        notes=("We can only see a short distance ahead, but plenty there that needs to be done.",),
    ),
)


def notes_of(username: str) -> tuple[str, ...]:
    """Return the notes of *username*; an unknown name has none."""
    return next((person.notes for person in PEOPLE if person.username == username), ())
