"""Commands of ``bids-gan-model``, each a module with its parser and what it runs."""
