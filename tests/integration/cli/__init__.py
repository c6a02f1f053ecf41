"""Tests of the command line: the real `codexflow` program against a real accounts service."""
