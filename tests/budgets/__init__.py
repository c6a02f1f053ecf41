"""Budgets against crowds and deaths: real processes, nearly empty budgets, and the provider's own count in the end."""
