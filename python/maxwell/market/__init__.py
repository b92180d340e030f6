"""Money: the ledger, the mint, the commons, and rewards for verified results."""

from maxwell.market.book import Entry
from maxwell.market.ledger import Credits, Ledger, ProcessId, SlotLike
from maxwell.market.mint import BudgetMint, Mint, PowerMint, open_books
from maxwell.market.questions import QuestionBook
from maxwell.market.recompute import Recomputed, recompute_bits
from maxwell.market.resolvers import (
    CallableResolver,
    PrimeResolver,
    RegexResolver,
    Resolver,
    Verdict,
    build_resolver,
    check_resolver,
)
from maxwell.market.rewards import Payout, Refusal, RewardBook

__all__ = [
    "BudgetMint",
    "CallableResolver",
    "Credits",
    "Entry",
    "Ledger",
    "Mint",
    "Payout",
    "PowerMint",
    "PrimeResolver",
    "ProcessId",
    "QuestionBook",
    "Recomputed",
    "Refusal",
    "RegexResolver",
    "Resolver",
    "RewardBook",
    "SlotLike",
    "Verdict",
    "build_resolver",
    "check_resolver",
    "open_books",
    "recompute_bits",
]
