"""Budgets of several gateways and their authority, simulated: time, network and deaths are arguments."""
