"""The judge role: picture + query -> scores by dimension."""
