"""What the system, security and fault suites share; see tests/conftest.py for the fixtures."""
