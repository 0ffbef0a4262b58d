"""How far a judge can be trusted: agreement, honest probabilities, and a gate before mass judging."""
