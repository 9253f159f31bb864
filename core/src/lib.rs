//! core

pub mod git;
pub mod sandbox;
