//! (described by its own change)
