"""What handler files define, learned by importing them in a child process."""
