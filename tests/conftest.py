"""For all tests: how long an example takes says nothing about it."""

from hypothesis import settings

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
