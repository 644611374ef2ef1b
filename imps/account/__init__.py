"""What is not known, and everything that is linear in it: the account and its matrices."""
