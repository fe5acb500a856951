//! Addresses as people write them: `host:port`.

use std::net::SocketAddr;

use crate::error::{Error, quoted};

/// Refuses what cannot be an address; whether the host exists is found out when it is connected to.
pub(super) fn check(what: &str, address: &str) -> Result<(), Error> {
    let invalid = || {
        let bound = "host:port, with a name, an IPv4 address or an IPv6 address in brackets, and a port from 1 to 65535";
        Error::invalid(what, quoted(address), bound)
    };
    if let Ok(address) = address.parse::<SocketAddr>() {
        return if address.port() == 0 { Err(invalid()) } else { Ok(()) };
    }
    let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
    let port_ok =
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0);
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // All digits and dots is an IPv4 address that did not parse, not a name.
    let name_ok = host.len() <= 253
        && host.split('.').all(label_ok)
        && !host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if port_ok && name_ok { Ok(()) } else { Err(invalid()) }
}
