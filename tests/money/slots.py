"""A slot as a cell would write it: plain integers, and the moves that a cell can make."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass
class FakeSlot:
    """The fields of `maxwell._native.Slot` that the ledger reads."""

    pid: int = 1
    funded: int = 0
    returned: int = 0
    purse: int = 0
    escrow: int = 0
    bond: int = 0
    burned: int = 0
    premium: int = 0
    rent: int = 0
    tax: int = 0
    sent: int = 0
    stake: int = 0
    staked: int = 0
    energy_uj: int = 0
    uncollected_uj: int = 0

    def fund(self, credits: int) -> None:
        self.funded += credits
        self.purse += credits

    def spend(self, kind: str, credits: int) -> None:
        """Moves up to `credits` from the purse to burned, premium, rent, tax, sent or staked."""
        paid = min(credits, self.purse)
        self.purse -= paid
        setattr(self, kind, getattr(self, kind) + paid)
        if kind == "burned":
            self.energy_uj += credits
            self.uncollected_uj += credits - paid

    def lock(self, kind: str, credits: int) -> None:
        """Moves up to `credits` between purse and escrow, bond or stake; negative moves back."""
        held: int = getattr(self, kind)
        moved = max(-held, min(credits, self.purse))
        self.purse -= moved
        setattr(self, kind, held + moved)

    def end(self) -> None:
        """Gives everything back, as a cell does at death."""
        self.returned += self.purse + self.escrow + self.bond + self.stake
        self.purse = self.escrow = self.bond = self.stake = 0

    def copy(self) -> FakeSlot:
        return replace(self)
