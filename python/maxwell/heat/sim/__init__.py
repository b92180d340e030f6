"""The deterministic simulator of the heat planes: it runs the shipped cores on a thermal plant."""
