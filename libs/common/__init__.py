"""What the services share: contracts between them (contracts/), manners on the bus (bus/), and product-free plumbing."""
