"""Python loads this module at its start where the folder is on PYTHONPATH: every process of a stack then counts."""

from tests.bench.interceptors import count_calls

count_calls()
