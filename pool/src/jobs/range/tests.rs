//! The hall and its floor, played.
