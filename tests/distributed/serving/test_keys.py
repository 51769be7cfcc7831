"""Keys have scopes, lie nowhere in the clear, and open nothing else."""

import hmac

import pytest
from hashnet.distributed.serving.keys import Keys, load_keys, parse_keys

FIRST, SECOND = "k" * 22, "A9._~+/=-" * 4


def test_each_key_has_the_scopes_of_its_line():
    keys = parse_keys(f"# clients\nread {FIRST}  # the page\n\nread,admin {SECOND}\n", source="file")
    assert keys.scopes_of(FIRST) == {"read"}
    assert keys.scopes_of(SECOND) == {"read", "admin"}


def test_a_key_for_administration_does_not_read():
    assert parse_keys(f"admin {FIRST}", source="file").scopes_of(FIRST) == {"admin"}


@pytest.mark.parametrize("key", ["", FIRST[:-1], FIRST + "k", FIRST.upper(), "ä", "\ud800"])
def test_any_other_key_opens_nothing(key):
    assert parse_keys(f"read {FIRST}", source="file").scopes_of(key) == frozenset()


def test_without_keys_reading_is_open_and_administration_is_not():
    assert [Keys().guards(scope) for scope in ("read", "admin")] == [False, True]


def test_one_key_closes_reading():
    assert parse_keys(f"admin {FIRST}", source="file").guards("read")


def test_every_digest_is_compared_whichever_key_comes(monkeypatch):
    keys = parse_keys(f"read {FIRST}\nread {SECOND}", source="file")
    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(1) or a == b)
    for key in (FIRST, SECOND, "x"):
        keys.scopes_of(key)
    assert len(compared) == 6


def test_no_key_is_kept_or_shown():
    keys = parse_keys(f"read {FIRST}", source="file")
    assert FIRST not in repr(keys) + repr(keys.digests)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no keys"),
        ("# nothing\n", "no keys"),
        ("read", "line 1 must have scopes and a key"),
        (f"read {FIRST} more", "line 1 must have scopes and a key"),
        (f"\nwrite {FIRST}", "line 2: scopes must be of read, admin"),
        (f"read,write {FIRST}", "scopes must be of"),
        (f"read,read {FIRST}", "scopes must be of"),
        (f"read {FIRST[1:]}", "at least 22"),
        (f"read {FIRST}\u00e9", "letters, digits"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number_and_without_the_key(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_keys(text, source="file")
    assert FIRST[1:] not in str(caught.value)


def test_keys_come_from_a_file(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"read {FIRST}\n")
    file.chmod(0o600)
    assert load_keys(file, environment={}).scopes_of(FIRST) == {"read"}


def test_a_file_that_everybody_can_read_is_refused(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"read {FIRST}\n")
    file.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        load_keys(file, environment={})


def test_keys_come_from_the_environment():
    keys = load_keys(None, environment={"HASHNET_KEYS": f"read {FIRST};admin {SECOND}"})
    assert (keys.scopes_of(FIRST), keys.scopes_of(SECOND)) == ({"read"}, {"admin"})


def test_an_empty_variable_is_a_mistake_and_not_an_open_service():
    with pytest.raises(ValueError, match="HASHNET_KEYS has no keys"):
        load_keys(None, environment={"HASHNET_KEYS": ""})


def test_nothing_given_is_no_keys():
    assert load_keys(None, environment={}) == Keys()
