"""Score a trained model on the test data and draw the report (the evaluate stage)."""
