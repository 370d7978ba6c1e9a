//! An SSH server in this process that runs commands with the host's `sh`.
