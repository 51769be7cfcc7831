"""A Ray of our own asks for a token, one that is joined gets the user's; the user's decision stands."""

import pytest
from hashnet.distributed.authentication import demand_token


@pytest.fixture
def home(tmp_path):
    return tmp_path


def test_a_fresh_token_is_demanded_by_default(home):
    first, second = {}, {}
    assert demand_token(first, loaded=(), home=home)
    assert demand_token(second, loaded=(), home=home)
    assert first["RAY_AUTH_MODE"] == "token"
    assert len(first["RAY_AUTH_TOKEN"]) == 64
    assert first["RAY_AUTH_TOKEN"] != second["RAY_AUTH_TOKEN"]


def test_the_choice_of_the_user_stands(home):
    environment = {"RAY_AUTH_MODE": "disabled"}
    assert not demand_token(environment, loaded=(), home=home)
    assert environment == {"RAY_AUTH_MODE": "disabled"}


def test_a_ray_that_is_loaded_has_read_its_settings(home):
    environment = {}
    assert not demand_token(environment, loaded={"ray"}, home=home)
    assert environment == {}


@pytest.mark.parametrize("named", [{"RAY_AUTH_TOKEN": "secret"}, {"RAY_AUTH_TOKEN_PATH": "/etc/ray/token"}])
def test_a_cluster_that_is_joined_gets_the_token_of_the_environment(named, home):
    environment = dict(named)
    assert demand_token(environment, address="auto", loaded=(), home=home)
    assert environment == {**named, "RAY_AUTH_MODE": "token"}


def test_a_cluster_that_is_joined_gets_the_token_of_the_home_folder(home):
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("secret")
    environment = {"RAY_ADDRESS": "10.0.0.1:6379"}
    assert demand_token(environment, loaded=(), home=home)
    assert environment == {"RAY_ADDRESS": "10.0.0.1:6379", "RAY_AUTH_MODE": "token"}


def test_no_token_is_made_up_for_a_cluster_that_is_joined(home):
    environment = {}
    assert not demand_token(environment, address="10.0.0.1:6379", loaded=(), home=home)
    assert environment == {}


def test_a_token_of_the_user_is_not_that_of_a_ray_of_our_own(home):
    environment = {"RAY_AUTH_TOKEN": "secret", "RAY_ADDRESS": "auto"}
    assert demand_token(environment, address="local", loaded=(), home=home)
    assert environment["RAY_AUTH_TOKEN"] != "secret"
