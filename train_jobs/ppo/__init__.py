"""PPO for language models. The maths is pure: tensors and numbers in, tensors and numbers out."""
