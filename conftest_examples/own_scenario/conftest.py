"""What the scenario's steps ask for; the plugin's own fixtures are there without a word."""

import re

import pytest


@pytest.fixture(scope="session")
def allowed_name():
    return re.compile(r"[a-z][a-z0-9-]{5,49}").fullmatch
