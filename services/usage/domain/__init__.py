"""What is true on paper: budget arithmetic, percentiles, receipts, and what makes an event bookable."""
