"""What tests of whole runs share: small guests, fleets, processes of our own, and the sums."""
