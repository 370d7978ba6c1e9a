//! Denylists: what is read, and what applies.
