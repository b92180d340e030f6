"""Outbound requests of guests, made by the operator's broker: `maxwell.request`."""
