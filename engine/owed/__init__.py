"""What is owed, by when, and will it make it. Importing this package loads nothing but itself; take what you need from its modules."""
