"""Transports of the heat planes: UDP on asyncio, and in memory; the simulator has its own."""
