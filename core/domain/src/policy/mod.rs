//! Limits and validation rules shared by all doors.
