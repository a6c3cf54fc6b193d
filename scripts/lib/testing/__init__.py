"""What scripts/test is made of: suites that give results, and the report that adds them up."""
