//! Ids that Graph has and we do not keep: each follows from what we keep, and is always the same.

use sha2::{Digest, Sha256};

/// The template of an application that is in no gallery, by the id that Graph documents for it.
pub(crate) const CUSTOM: &str = "8adf8e6e-67b2-4cf2-a259-e3dc5476c621";

/// A GUID made of what it stands for (as RFC 9562, version 8).
pub(crate) fn derived(what: &str, of: &str) -> String {
    let digest = Sha256::digest(format!("muster {what} {of}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = data_encoding::HEXLOWER.encode(&bytes);
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

/// The id of a template of the gallery.
pub(crate) fn template(slug: &str) -> String {
    derived("application template", slug)
}

/// The id of the application object that belongs to a service principal.
pub(crate) fn application(service_principal: &str) -> String {
    derived("application", service_principal)
}

/// What the application object and its service principal share.
pub(crate) fn app(service_principal: &str) -> String {
    derived("client", service_principal)
}

/// The organisation.
pub(crate) fn tenant(number: i64) -> String {
    derived("tenant", &number.to_string())
}
