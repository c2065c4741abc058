"""What a signal and an answer are: the contract that training writes bundles for and the service answers by."""
