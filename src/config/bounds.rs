//! What a setting may be, and how a wrong one is reported.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use thermocline_routing_table::BucketCount;

use crate::error::{Error, StorageKind};

pub(crate) const WINDOW_SPAN_MS_DEFAULT: u64 = 24 * 3_600 * 1_000;
pub(crate) const WINDOW_SPAN_MS_MIN: u64 = 60 * 1_000;
pub(crate) const WINDOW_SPAN_MS_MAX: u64 = 366 * 24 * 3_600 * 1_000;
/// The longest configuration or topology file, in bytes: a thousand groups of 64 nodes fit.
const FILE_BYTES_MAX: u64 = 32 << 20;

pub(crate) fn within<N: PartialOrd + Display>(field: &str, value: N, min: N, max: N) -> Result<(), Error> {
    if value < min || value > max {
        return Err(Error::invalid(field, value.to_string(), format!("{min} to {max}")));
    }
    Ok(())
}

pub(crate) fn buckets(count: u32) -> Result<BucketCount, Error> {
    BucketCount::new(count)
        .map_err(|_| Error::invalid("buckets", count.to_string(), "a power of two from 1024 to 1048576"))
}

pub(crate) fn window_span_ms(field: &str, span: u64) -> Result<(), Error> {
    within(field, span, WINDOW_SPAN_MS_MIN, WINDOW_SPAN_MS_MAX)
}

/// What the TOML reader complains about, as a typed error: `unknown field x, expected a or b` names field and bound.
pub(crate) fn toml_error(what: &str, text: &str, error: &toml::de::Error) -> Error {
    let what = match error.span() {
        Some(span) => {
            let line = text.as_bytes().iter().take(span.start).filter(|&&byte| byte == b'\n').count() + 1;
            format!("{what}, line {line}")
        }
        None => what.to_owned(),
    };
    match error.message().split_once(", expected ") {
        Some((value, bound)) => Error::invalid(what, value, bound),
        None => Error::invalid(what, error.message(), "as documented"),
    }
}

pub(crate) fn read_text(what: &str, path: &Path) -> Result<String, Error> {
    let storage =
        |cause: String| Error::storage(StorageKind::Io, format!("{what} {}: {cause}", path.display()));
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| storage(error.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let value = format!("over {FILE_BYTES_MAX} bytes");
        return Err(Error::invalid(
            format!("{what} {}", path.display()),
            value,
            format!("at most {FILE_BYTES_MAX} bytes"),
        ));
    }
    String::from_utf8(bytes).map_err(|error| storage(error.to_string()))
}
