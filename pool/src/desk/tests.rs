//! The desk with a whole pool around it, but for its sockets.
