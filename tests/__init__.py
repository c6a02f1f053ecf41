"""Tests of CodexFlow: unit, integration against real servers, end to end against the whole stack."""
