"""What the tests in one process share: generated input takes the time that the machine gives it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Hypothesis' own limits are of wall-clock time, which on a loaded machine says nothing of a test.
settings.register_profile("loaded", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("loaded")
