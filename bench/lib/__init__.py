"""What bench/run is made of: programs under test, measuring, scenarios, the gate, the report."""
