"""Placeholder."""

from typing import Any

TakeRate = Any
