//! core

pub mod sandbox;
