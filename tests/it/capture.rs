//! What is captured, and that each part tells it alone.
