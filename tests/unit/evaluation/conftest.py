"""Settings of the property tests."""

from hypothesis import settings

# on a machine shared with other work the time of one example says nothing
settings.register_profile("evaluation", deadline=None)
settings.load_profile("evaluation")
