"""Panels, operators and settings: what people see and choose."""
