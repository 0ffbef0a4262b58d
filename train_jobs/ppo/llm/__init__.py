"""PPO of a causal language model in Hugging Face form."""
