"""Settings: where they stand, what they are, and what is wrong with them."""

from pytest_vdkprobe.config.configuration import Configuration
from pytest_vdkprobe.config.loader import from_tables, load

__all__ = ["Configuration", "from_tables", "load"]
