"""Facts from outside the orchestrators: files that arrive, signs of life, checks of finished runs. They are told to the judge."""
