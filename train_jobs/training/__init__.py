"""What every training has, whatever it trains."""
