"""A Ray that a command starts asks for a token, unless the user has decided otherwise."""

from hashnet.distributed.authentication import demand_token


def test_a_fresh_token_is_demanded_by_default():
    first, second = {}, {}
    assert demand_token(first, loaded=())
    assert demand_token(second, loaded=())
    assert first["RAY_AUTH_MODE"] == "token"
    assert len(first["RAY_AUTH_TOKEN"]) == 64
    assert first["RAY_AUTH_TOKEN"] != second["RAY_AUTH_TOKEN"]


def test_the_choice_of_the_user_stands():
    environment = {"RAY_AUTH_MODE": "disabled"}
    assert not demand_token(environment, loaded=())
    assert environment == {"RAY_AUTH_MODE": "disabled"}


def test_a_ray_that_is_loaded_has_read_its_settings():
    environment = {}
    assert not demand_token(environment, loaded={"ray"})
    assert environment == {}
