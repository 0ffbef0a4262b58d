"""Training of the scorer on judged pairs: the judge, distilled."""
