//! The log over HTTPS.
