"""What an answer is likely to be worth, learnt from draws that were judged."""
