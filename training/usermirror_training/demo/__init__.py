"""The demo models: an invented world's scenarios, and two models trained on them from nothing."""
