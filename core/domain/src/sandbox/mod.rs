//! From a workspace wish to an ordered plan.
